"""One question to a server: the answer, or one clear error."""

import json
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from seatrial.errors import MeasurementError, UsageError
from seatrial.measure.ask import ask

MODEL = ("--model=made-up",)


@pytest.fixture
def answering():
    """Start a server that answers every question with the given document; gives its address."""
    started = []

    def start(document, status=200, tls=None):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                content = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                """Stay quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        started.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in started:
        server.shutdown()
        thread.join()
        server.server_close()


def test_brings_back_the_answer(simulate):
    """Text, tokens, time and who answered."""
    reply = ask(simulate(*MODEL).url, "Why do ships float?", model="made-up", answer_tokens=8)
    assert ("Why do ships float?", "made-up", 8) == (reply.question, reply.model, reply.tokens)
    assert reply.text
    assert reply.took_s > 0


@pytest.mark.parametrize(
    ("question", "settings", "message"),
    [
        (" ", {}, "question is empty"),
        ("Why?", {"answer_tokens": 0}, "answer_tokens is 0"),
        ("Why?", {"answer_tokens": 10_000_000}, "answer_tokens is 10,000,000"),
        ("Why?", {"temperature": -5.0}, "temperature is -5"),
        ("Why?", {"temperature": float("nan")}, "temperature takes a number, not nan"),
    ],
)
def test_what_no_server_takes_is_not_sent(question, settings, message):
    """The figure is named, before any request."""
    with pytest.raises(UsageError, match=message):
        ask("http://127.0.0.1:9", question, model="made-up", **settings)


def test_reasoning_is_kept_apart(answering):
    """V4 thinks in reasoning_content, vLLM calls it reasoning; the answer is the rest."""
    for name in ("reasoning_content", "reasoning"):
        message = {"role": "assistant", "content": "Because.", name: "Let me see."}
        reply = ask(answering({"choices": [{"message": message}]}), "Why?", model="made-up")
        assert ("Because.", "Let me see.", None) == (reply.text, reply.reasoning, reply.tokens)


@pytest.mark.parametrize(
    "document", [{}, [], None, 7, {"choices": []}, {"choices": [{}]}, {"choices": [{"message": 3}]}]
)
def test_something_else_than_a_completion_is_an_error(answering, document):
    """JSON of any other shape is not taken for an answer."""
    with pytest.raises(MeasurementError, match="did not answer with a chat completion"):
        ask(answering(document), "Why?", model="made-up")


def test_the_key_is_sent(simulate, tmp_path):
    """With the key there is an answer, without it an error that does not show the key."""
    (tmp_path / "key").write_text("a-made-up-key-0123456789")
    url = simulate(*MODEL, f"--api-key-file={tmp_path / 'key'}").url
    assert ask(url, "Why?", model="made-up", api_key="a-made-up-key-0123456789").text
    with pytest.raises(UsageError, match="refuses this API key: it answered 401") as caught:
        ask(url, "Why?", model="made-up", api_key="another-made-up-key")
    assert "another-made-up-key" not in str(caught.value)


@pytest.mark.parametrize("fault", ["http_400", "http_500", "redirect", "not_a_stream"])
def test_a_wrong_answer_is_one_error(simulate, fault):
    """Whatever comes instead of a completion: a measurement error that names the server, and no redirect is followed."""
    url = simulate(*MODEL, f"--fault={fault}").url
    with pytest.raises(MeasurementError, match=r"127\.0\.0\.1"):
        ask(url, "Why?", model="made-up", timeout_s=5)


def test_nobody_there_is_an_error():
    """A closed port is said, with what to do."""
    with pytest.raises(MeasurementError, match="does not answer"):
        ask("http://127.0.0.1:9", "Why?", model="made-up", timeout_s=2)


def test_metadata_addresses_are_refused():
    """No question and no key goes to a cloud's metadata service."""
    with pytest.raises(UsageError):
        ask("http://169.254.169.254", "Why?", model="made-up")


@pytest.mark.parametrize("body", [b"no \x1b[31mroom\r\n\x07", {"error": {"message": "no \x1b[31mroom"}}])
def test_an_error_s_text_moves_no_cursor(answering, body):
    """What a server says of its error is shown on one line, without control characters."""
    with pytest.raises(MeasurementError, match="answered 500: no") as caught:
        ask(answering(body, 500), "Why?", model="made-up")
    assert caught.value.what.endswith("answered 500: no [31mroom")


def test_a_server_without_chat_is_asked_to_complete(simulate):
    """A base model has no chat template: the question is its prompt."""
    reply = ask(simulate(*MODEL, "--no-chat").url, "Why?", answer_tokens=8)
    assert ("made-up", 8) == (reply.model, reply.tokens)
    assert reply.text


def test_a_model_that_is_not_served_is_no_missing_chat(answering):
    """A 404 that names the model is shown as it is, not asked again elsewhere."""
    with pytest.raises(MeasurementError, match="The model 'x' does not exist"):
        ask(answering({"error": {"message": "The model 'x' does not exist"}}, 404), "Why?", model="x")


@pytest.fixture
def certificate(tmp_path, require):
    """Make a certificate for this machine that no authority signed: its file and its key's."""
    require("openssl")
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=here", "-out", str(files[0])]
    subprocess.run(
        [*make, "-keyout", str(files[1]), "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True
    )
    return files


def test_https_with_a_certificate_of_its_own(answering, certificate, monkeypatch):
    """Refused with the remedy, and nothing is sent; trusted once SSL_CERT_FILE names it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    document = {"choices": [{"message": {"content": "Because."}}]}
    url = answering(document, tls=context).replace("http:", "https:")
    with pytest.raises(UsageError, match="signed by itself") as caught:
        ask(url, "Why?", model="x", api_key="a-made-up-key")
    assert "SSL_CERT_FILE" in caught.value.remedy
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    assert "Because." == ask(url, "Why?", model="x").text


def test_https_to_a_server_that_speaks_http(answering):
    """The other scheme is named."""
    with pytest.raises(UsageError, match="no TLS with this server") as caught:
        ask(answering({}).replace("http:", "https:"), "Why?", model="x", timeout_s=5)
    assert "http://" in caught.value.remedy
