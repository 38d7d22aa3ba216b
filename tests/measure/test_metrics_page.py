"""A server is asked for its figures over one connection, in bounded time, and what it lacks is said."""

import contextlib
import socket
import threading

import pytest
from tests.measure.metrics_server import PAGE, metrics_server

from seatrial.measure.metrics_page import MetricsPage
from seatrial.server.metrics import ServerMetrics

FIGURES = ServerMetrics(running=1, waiting=3, kv_cache_usage=0.5, generated_tokens=7)
LIMIT_S = 20.0


@pytest.fixture
def server():
    """Run a server whose page the test writes."""
    with metrics_server() as played:
        yield played


@pytest.fixture
def page_of():
    """Return a function that opens a page, which is closed in the end."""
    with contextlib.ExitStack() as opened:
        yield lambda *arguments, **options: opened.enter_context(contextlib.closing(MetricsPage(*arguments, **options)))


def why(page):
    """Return why the page has no figures."""
    return page.why_missing("running", page=False)


def test_figures_of_a_server_that_is_not_ours(server, page_of):
    """Its engine is found by the names; it is asked below its base, with its key, over one connection."""
    page = page_of(f"{server.url}/base", "sesame")
    assert [FIGURES, FIGURES] == [page.read(LIMIT_S), page.read(LIMIT_S)]
    assert [("/base/metrics", "Bearer sesame")] * 2 == [(path, sent["Authorization"]) for path, sent in server.asked]
    assert 1 == server.connections


def test_without_a_key_none_is_sent(server, page_of):
    """An open server is asked openly."""
    page_of(server.url).read(LIMIT_S)
    assert "Authorization" not in server.asked[0][1]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, "{}", "is not there (404): SGLang shows it with --enable-metrics, llama.cpp shows it with --metrics"),
        (501, "{}", "is not there (501): SGLang"),
        (401, "{}", "wants another API key (401)"),
        (403, "{}", "wants another API key (403)"),
        (500, PAGE, "answered 500"),
        (302, PAGE, "answered 302"),
        (200, "<html><body>vllm:num_requests_running 3</body></html>", "has none of the figures that engines show"),
        (200, "", "has none of the figures that engines show"),
        (200, "process_cpu_seconds_total 3\n", "has none of the figures that engines show"),
        (200, "vllm:num_requests_running NaN\n", "has none of the figures that engines show"),
        (200, "{" * 5000, "has none of the figures that engines show"),
    ],
)
def test_a_page_without_figures_says_why(server, status, body, said, page_of):
    """Nothing is read of it."""
    server.status, server.body = status, body.encode()
    page = page_of(server.url)
    assert page.read(LIMIT_S) is None
    assert f"{server.url}/metrics {said}" in why(page)


def test_a_page_without_figures_is_not_asked_again_at_once(server, page_of):
    """It will hardly be there a second later."""
    server.status = 404
    page = page_of(server.url)
    assert [None, None] == [page.read(LIMIT_S), page.read(LIMIT_S)]
    assert 1 == len(server.asked)


def test_a_known_engine_names_its_own_argument(server, page_of):
    """SGLang serves no page without it."""
    server.status = 404
    page = page_of(server.url, engine="sglang")
    page.read(LIMIT_S)
    assert why(page).endswith("is not there (404): SGLang shows it with --enable-metrics")


def test_a_redirect_is_not_followed(server, page_of):
    """The key goes nowhere else."""
    with metrics_server() as elsewhere:
        server.status, server.headers = 307, {"Location": f"{elsewhere.url}/metrics"}
        assert page_of(server.url, "sesame").read(LIMIT_S) is None
        assert [] == elsewhere.asked


def test_a_figure_that_the_page_lacks_says_why(server, page_of):
    """Its engine never shows it, or this server does not."""
    page = page_of(server.url)
    page.read(LIMIT_S)
    assert f"{server.url}/metrics of this vLLM does not show it" == page.why_missing("drafted_tokens", page=True)
    server.body = b"sglang:num_running_reqs 1\n"
    other = page_of(server.url)
    other.read(LIMIT_S)
    assert "SGLang does not show it in its /metrics" == other.why_missing("drafted_tokens", page=True)


def drip(handler):
    """Send a byte of an endless answer at a time."""
    handler.send_response(200)
    handler.end_headers()
    with contextlib.suppress(OSError):
        while not handler.server._BaseServer__shutdown_request:
            handler.wfile.write(b"v")
            threading.Event().wait(0.01)


def never(handler):
    """Send nothing until the other side leaves."""
    handler.connection.recv(1)


def garbage(handler):
    """Send what is no HTTP."""
    handler.wfile.write(b"\x16\x03\x01\x00\xa5\n")
    handler.close_connection = True


def nothing(handler):
    """Close the connection without a word."""
    handler.close_connection = True


@pytest.mark.parametrize("answer", [drip, never, garbage, nothing])
def test_an_answer_that_is_none_ends_in_time(server, answer, page_of):
    """However a server answers, the reading is missing, with its reason."""
    server.answer = answer
    page = page_of(server.url)
    assert page.read(0.3) is None
    assert f"{server.url}/metrics does not answer (" in why(page)
    server.answer = None
    assert FIGURES == page.read(LIMIT_S)


def test_a_connection_that_was_closed_meanwhile_is_opened_anew(server, page_of):
    """Servers close those that are idle."""

    def once(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(PAGE)))
        handler.end_headers()
        handler.wfile.write(PAGE.encode())
        handler.close_connection = True

    server.answer = once
    page = page_of(server.url)
    assert [FIGURES] * 3 == [page.read(LIMIT_S) for _ in range(3)]
    assert 3 == server.connections


def test_a_page_beyond_all_bounds_is_read_to_the_bound(server, page_of):
    """The figures at its begin count, and no line that was cut."""
    server.body = PAGE.encode() + b"vllm:prompt_tokens_total 12345678\n" * (6 << 20 >> 5)
    page = page_of(server.url)
    found = page.read(LIMIT_S)
    assert (7, 0) == (found.generated_tokens, found.prompt_tokens % 12345678)
    server.body = PAGE.encode()
    assert FIGURES == page.read(LIMIT_S)


def test_nobody_listens(page_of):
    """The reason is that of the connection."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        page = page_of(f"http://127.0.0.1:{free.getsockname()[1]}")
        assert page.read(LIMIT_S) is None
    assert "does not answer (" in why(page)
