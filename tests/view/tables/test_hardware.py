"""A machine as tables and sentences: measured bandwidth against the data sheet's."""

from dataclasses import replace

from seatrial import measure_bandwidth
from seatrial.hardware import Hardware, Host
from seatrial.hardware.named import named_machine
from seatrial.view import show_accelerators, show_bandwidth, table_host
from seatrial.view.tables.hardware import table_accelerators

DAY = "2026-11-30T08:00:00+00:00"
NAMED = named_machine("h100x2", 256)
HOST = Host(
    cpu="AMD EPYC", cores=32, bandwidth_bytes_per_s=2.1e11, bandwidth_measured_at=DAY, decode_bytes_per_s=9.5e10
)
GPUS = tuple(
    replace(gpu, bandwidth_bytes_per_s=rate, bandwidth_measured_at=DAY)
    for gpu, rate in zip(NAMED.gpus, (2.948e12, 2.68e12), strict=True)
)
MEASURED = Hardware("h100x2", GPUS, HOST, "580.95.05", "13.0", "measured", "NVML")


def test_measured_figures_stand_against_the_data_sheet():
    """The slowest of equal GPUs decides, and llama.cpp's own figure is another than the memory's."""
    shown = show_bandwidth(MEASURED)
    assert "Memory bandwidth, measured" == shown.title
    assert (
        f"2 x {GPUS[0].name}: 2,680 to 2,948 GB/s, 80% of the 3,350 GB/s of the data sheet. "
        "The host's memory is read with 210 GB/s by 31 threads. "
        "llama.cpp, which also has to multiply, gets through 95.0 GB/s of four-bit weights."
    ) == shown.text


def test_equal_gpus_share_a_row_whatever_was_measured():
    """Their range and the day stand in the table; so does the host's figure."""
    assert "2,680 to 2,948 GB/s, measured 2026-11-30" in show_accelerators(MEASURED).to_text()
    host = table_host(MEASURED).to_text()
    assert "210 GB/s, measured 2026-11-30" in host
    assert "95.0 GB/s, measured 2026-11-30, 31 threads" in host


def test_a_named_machine_is_not_measured_and_says_so():
    """It comes back as it is: it is not here."""
    assert NAMED == measure_bandwidth(NAMED)
    assert "Nothing was measured: h100x2 is only named." == show_bandwidth(NAMED).text


def test_a_limit_on_unified_memory_is_shown():
    """What the GPU of a Mac may take, if somebody set it."""
    mac = named_machine("m3-ultra-96gb")
    raised = replace(mac, gpus=tuple(replace(gpu, memory_limit_bytes=88 << 30) for gpu in mac.gpus))
    assert "unified" == table_accelerators(mac).rows[0][-1]
    assert "unified, at most 88.0 GiB" == table_accelerators(raised).rows[0][-1]
