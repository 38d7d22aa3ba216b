"""A server listens on loopback only, unless an address, --expose and a key allow another."""

import socket

import pytest
from tests.security.conftest import leaky_command

from seatrial.cli.serve import document
from seatrial.engines import build_command
from seatrial.engines.extra import engine_options, host_of
from seatrial.errors import EngineError, RefusedError, UsageError
from seatrial.hardware import detect_hardware
from seatrial.launching import launch
from seatrial.launching.access import Access, is_keyed, secured
from seatrial.plan import make_plan
from seatrial.server import loopback
from seatrial.server.address import listening_address, reachable, url_host
from seatrial.server.processes import plain

OPEN = [
    "0.0.0.0",  # noqa: S104
    "0",
    "0x0",
    "000.000.000.000",
    "::",
    "::0",
    "0:0:0:0:0:0:0:0",
    "::ffff:0.0.0.0",
    "192.0.2.7",
    "10.0.0.1",
]
NO_ADDRESS = [
    "",
    " ",
    "127.0.0.1:8000",
    "http://127.0.0.1",
    "file:///etc/passwd",
    "user:pw@127.0.0.1",
    "127.0.0.1/8",
    "-h",
    "--port",
    "127.0.0.1\n0.0.0.0",
    "127.0.0.1\x00",
    "127.0.0.1 0.0.0.0",
    "$(hostname)",
    "`id`",
    "a;b",
    "*",
    "[::]",
    "fe80::1%eth0",
    "localhost\u202e",
    "x" * 300,
    "no-such-host.invalid",
]
NOT_ONE_MACHINE = ["224.0.0.1", "ff02::1", "169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "2852039166"]


@pytest.mark.parametrize("host", OPEN)
def test_an_address_open_to_others_needs_expose(not_launched, host):
    """Every spelling of "everywhere", and any other machine's view of this one, is refused without the flag."""
    not_launched(says="open to other machines.*\n.*--expose", access=Access(host=host))


@pytest.mark.parametrize("host", NO_ADDRESS, ids=lambda host: repr(host)[:30])
def test_what_is_no_address_is_bad_usage(not_launched, host):
    """A URL, a word for a shell and an unknown name are all refused."""
    not_launched(kind=UsageError, access=Access(host=host))


@pytest.mark.parametrize("host", NOT_ONE_MACHINE)
@pytest.mark.parametrize("expose", [False, True])
def test_groups_and_link_local_addresses_are_no_place_to_listen(not_launched, host, expose):
    """Multicast, link-local and metadata addresses in any spelling, with and without the flag."""
    not_launched(kind=UsageError, access=Access(host=host, expose=expose))


def test_an_address_of_another_machine_is_said(not_launched):
    """A documentation address belongs to no interface of this machine, even with --expose."""
    not_launched(kind=UsageError, says="no address of this machine", access=Access(host="192.0.2.7", expose=True))


@pytest.mark.parametrize("name", ["printer.example", "localhost.evil.example"])
def test_a_name_that_resolves_off_loopback_needs_expose(not_launched, monkeypatch, name):
    """One loopback address beside another does not make it safe: every address a name has is looked at."""
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 0)) for one in ("127.0.0.1", "203.0.113.9")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
    not_launched(says=r"203\.0\.113\.9.* is open to other machines", access=Access(host=name))


def test_a_name_is_resolved_once_and_the_engine_gets_the_address(monkeypatch):
    """A name server that answers differently the second time changes nothing."""
    answers = iter(["127.0.0.2", "203.0.113.9"])
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", (next(answers), 0))])
    command = secured(leaky_command(), Access(host="changing.example"))
    assert "--host=127.0.0.2" in command.argv
    assert "changing.example" not in " ".join(command.argv)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104
def test_with_expose_the_engine_gets_exactly_the_address(host):
    """The command says so in one word; nothing is started here."""
    command = secured(leaky_command(), Access(host=host, expose=True))
    assert 1 == sum(word.startswith("--host") for word in command.argv)
    assert f"--host={host}" in command.argv
    assert ["in clear text", "leaves open"] == [
        part for note in command.notes for part in ("in clear text", "leaves open") if part in note
    ]
    assert () == secured(leaky_command(), Access()).notes


@pytest.mark.parametrize("engine", ["fake", "no-such-engine"])
def test_an_engine_without_a_key_is_never_exposed(not_launched, engine):
    """An unknown engine may have no key."""
    not_launched(
        leaky_command(engine=engine),
        kind=RefusedError,
        says="knows no API key",
        access=Access(host="0.0.0.0", expose=True),  # noqa: S104
    )


def test_which_engines_have_a_key_is_data_with_a_source():
    """Every one: mlx_vlm.server asks for its key too, which mlx_lm.server did not."""
    engines = ("sglang", "vllm", "llamacpp", "simulated", "mlx")
    assert [True] * 5 == [is_keyed(engine) for engine in engines]
    assert all(engine_options(engine).key_source for engine in engines)


@pytest.mark.parametrize("runner", ["xllamacpp", "llama-server", "llama_cpp.server"])
def test_every_way_to_run_llamacpp_takes_the_address(runner):
    """In the form its own parser wants: one word, or two."""
    command = build_command(make_plan("smollm2", hardware=detect_hardware("cpu")), runner=runner)
    moved = secured(command, Access(host="127.0.0.3"))
    assert "127.0.0.3" == host_of(moved)
    assert len(command.argv) == len(moved.argv)


def test_a_command_s_own_address_counts_too(not_launched):
    """--host=0.0.0.0 in somebody's own command is refused as the option is."""
    command = leaky_command()
    argv = tuple(word.replace("127.0.0.1", "0.0.0.0") for word in command.argv)  # noqa: S104
    not_launched(leaky_command(argv=argv), says="open to other machines")


@pytest.mark.parametrize("words", [["--host=0.0.0.0"], ["--host=::"], ["--host=0"], ["--host="], ["--host=a b"]])
def test_the_command_line_refuses_them(refused, words):
    """Seatrial serve, before it plans or fetches anything."""
    refused("serve", "--engine=simulated", "--hardware=auto", *words, codes=(2,))


def test_another_loopback_address_is_served_and_reached():
    """127.0.0.2: the engine listens there, is asked there, and nowhere else."""
    with launch(leaky_command(), name="second", access=Access(host="127.0.0.2")) as server:
        assert f"http://127.0.0.2:{server.port}" == server.url == document(server)["url"]
        assert server.responds()
        with pytest.raises(ConnectionRefusedError):
            loopback.ask(server.port, "/health")
        proof = server.stop()
    assert (True, 0) == (proof.port_free, proof.processes_left)


def test_an_engine_that_also_listens_elsewhere_is_ended():
    """It must listen on the address it was told, and on no other; here on a second loopback one."""
    with pytest.raises(EngineError, match=r"listens on 127\.0\.0\.2, not only on 127\.0\.0\.1") as caught:
        launch(leaky_command("--also-on=127.0.0.2"), name="both")
    assert "exposed" == caught.value.cause


def test_an_engine_that_answers_without_its_key_is_ended():
    """That it has a key is checked as a stranger would, not believed."""
    with pytest.raises(EngineError, match="without its API key") as caught:
        launch(leaky_command("--no-key"), name="open")
    assert "key not asked for" == caught.value.cause


@pytest.mark.parametrize(
    ("address", "reached", "in_url"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1", "127.0.0.1"),  # noqa: S104
        ("::", "::1", "[::1]"),
        ("::1", "::1", "[::1]"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
    ],
)
def test_this_machine_reaches_it_without_going_outside(address, reached, in_url):
    """What listens everywhere is asked over loopback."""
    assert (reached, in_url) == (reachable(address), url_host(address))


def test_an_ipv4_address_written_as_ipv6_is_the_same():
    """Tools show a dual-stack socket so."""
    assert plain("::ffff:127.0.0.1") == plain("127.0.0.1")
    assert "127.0.0.1" == listening_address("::ffff:127.0.0.1")
