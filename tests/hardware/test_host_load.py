"""How busy the machine is, or the container with the engine, on made-up hierarchies and this machine."""

import pytest
from tests.hardware.test_cgroup import V1_MOUNTS, V2_MOUNT, v2
from tests.server.conftest import until

from seatrial.hardware.host_load import HostLoad
from seatrial.units import GIB, MIB

OWN = {"proc/self/cgroup": "0::/job\n", "proc/self/mountinfo": V2_MOUNT}


def test_this_machine():
    """A share of all CPUs, and memory in use; no share at the first reading."""
    load = HostLoad()
    assert load.cpu_share() is None
    share = until(load.cpu_share, "a clock tick of any CPU")
    assert 0 < share <= 1
    assert load.memory_bytes() > MIB


def test_a_container_with_a_quota(tree):
    """The share is of the quota, the smallest above it counts; a process between two readings used it up."""
    files = (
        OWN
        | v2("/job", cpu_max="400000 100000", cpu_stat="usage_usec 1000000\nuser_usec 5")
        | v2("", cpu_max="150000 100000", cpu_stat="usage_usec 2000000")
    )
    root = tree(files)
    load = HostLoad(root)
    assert load.cpu_share() is None
    assert 0.0 == load.cpu_share()
    (root / "sys/fs/cgroup/cpu.stat").write_text("usage_usec 900000000\n")
    assert 1.0 == load.cpu_share()


def test_v1_counts_beside_its_quota(tree):
    """In nanoseconds."""
    group = "sys/fs/cgroup/cpu,cpuacct"
    root = tree(
        {
            "proc/self/cgroup": "3:cpu,cpuacct:/\n",
            "proc/self/mountinfo": V1_MOUNTS,
            f"{group}/cpu.cfs_quota_us": "200000\n",
            f"{group}/cpu.cfs_period_us": "100000\n",
            f"{group}/cpuacct.usage": "5000000000\n",
        }
    )
    load = HostLoad(root)
    load.cpu_share()
    (root / group / "cpuacct.usage").write_text("900000000000\n")
    assert 1.0 == load.cpu_share()


@pytest.mark.parametrize("stat", ["", "usage_usec\n", "usage_usec -5\n", "usage_usec nan\n", "user_usec 7\n"])
def test_a_group_that_does_not_count(tree, stat):
    """Unknown is None, never 0."""
    load = HostLoad(tree(OWN | v2("/job", cpu_max="200000 100000", cpu_stat=stat)))
    assert [None, None] == [load.cpu_share(), load.cpu_share()]


def test_a_count_that_goes_back(tree):
    """A group that was made anew: unknown once."""
    root = tree(OWN | v2("/job", cpu_max="200000 100000", cpu_stat="usage_usec 9000000"))
    load = HostLoad(root)
    load.cpu_share()
    (root / "sys/fs/cgroup/job/cpu.stat").write_text("usage_usec 5\n")
    assert load.cpu_share() is None
    assert 0.0 == load.cpu_share()


def test_memory_of_a_container(tree):
    """Without the page cache that the kernel gives back."""
    stat = f"anon {3 * GIB}\ninactive_file {5 * GIB}\nactive_file {GIB}"
    files = v2("/job", memory_max=str(16 * GIB), memory_current=str(10 * GIB), memory_stat=stat)
    assert 4 * GIB == HostLoad(tree(OWN | files)).memory_bytes()
    assert (
        HostLoad(tree(OWN | v2("/job", memory_max="5", memory_current="odd", memory_stat=stat))).memory_bytes() is None
    )


def test_the_group_of_the_engine_counts(tree):
    """Another process may live in another group."""
    root = tree(
        OWN | {"proc/77/cgroup": "0::/engine\n"} | v2("/engine", memory_max="999", memory_current="77", memory_stat="")
    )
    assert 77 == HostLoad(root, "77").memory_bytes()
