"""The benchmark of the client compares what two clients see with a server that knows when it sent."""

from bench_client import Load, chosen, client, measure_both, table

SMALL = Load(2, 0.005, 8, 2)


def test_both_clients_see_the_same_server():
    """Nothing is sent before it is due, and every token of both loads is counted."""
    kit, bare = measure_both(SMALL)
    for one in (kit, bare):
        assert min(one.server_ttft_error_s, one.ttft_error_s - one.server_ttft_error_s, one.cpu_per_token_s) > 0
        assert 0 < one.achieved <= 1
        assert one.memory_bytes > 1 << 20
    assert (True, None) == (kit.first_request_s > 0, bare.first_request_s)
    assert ["kit", "bare"] == [row[1] for row in table([(SMALL, kit, bare)]).rows]


def test_the_figures_of_the_benchmark_name_their_load():
    """Each figure says whose it is; loads are chosen by their streams."""
    names = [figure.name for figure in client([SMALL])]
    assert len(names) == len(set(names))
    assert all("client, 2 streams, 400 tokens/s: " in name for name in names)
    assert [128, 128] == [load.streams for load in chosen((128,))]
