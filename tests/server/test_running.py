"""A server holds its record, and shows of it what programs need."""

from seatrial.records import to_dict
from seatrial.server import find_server
from seatrial.server.folder import folder_of


def test_a_servers_document_is_its_public_fields(fake):
    """No owner, no command line, no environment: what a notebook keeps of a server says where it answered."""
    server = fake()
    document = to_dict(server)
    assert [
        "api_key_file",
        "engine",
        "health_path",
        "host",
        "keep_running",
        "launch_id",
        "launched_at",
        "log",
        "metrics_path",
        "model",
        "name",
        "phases",
        "pid",
        "port",
    ] == list(document)[:14]
    assert ["ready_after_s", "simulated", "stand_in", "tokenize_path", "url"] == list(document)[14:]
    assert {"name": "starting", "seconds": server.phases[0].seconds} == document["phases"][0]


def test_a_server_found_again_is_the_same(fake):
    """Whoever launched it, and whenever it is looked for."""
    server = fake()
    assert server == find_server("fake")
    assert hash(server) == hash(find_server("fake"))
    assert folder_of("fake").record() == server.record
    assert f"Server(name='fake', url='{server.url}'" in repr(server)
