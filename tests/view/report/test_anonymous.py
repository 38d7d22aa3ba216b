"""What a text for strangers must not have in it: planted secrets, names, addresses, and what must stay readable."""

import getpass
import socket

import pytest

from seatrial.view.report.anonymous import anonymous

HEX = "0123456789abcdef" * 3
SECRETS = [
    ("token hf_abcdefghij1234567890", "hf_abcdefghij1234567890"),
    ("OPENAI_API_KEY=sk-proj-abcdef1234567890", "sk-proj-abcdef1234567890"),
    ("api_key: 'correct horse battery'", "correct horse battery"),
    ('{"api-key": "s3cret value"}', "s3cret value"),
    ('{"password":"hunter2"}', "hunter2"),
    ("PASSWORD=hunter2", "hunter2"),
    ("PGPASSWORD=hunter2 psql", "hunter2"),
    ("password = hunter2", "hunter2"),
    ("--api-key abc123", "abc123"),
    ("--api-key=abc123", "abc123"),
    ("--hf-token 'a b c'", "a b c"),
    ("--ssl-key-password x9", "x9"),
    ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
    ("authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ("curl -H 'Authorization: Bearer t0ken'", "t0ken"),
    ("x-api-key: 12345", "12345"),
    ("Cookie: session=abcdef", "abcdef"),
    ("https://me:pa55word@example.com/v1", "pa55word"),
    ("https://host/path?token=abcdef123&x=1", "abcdef123"),
    ("https://bucket/x?X-Amz-Signature=abcdef", "abcdef"),
    ("ghp_abcdefghijklmnop1234", "ghp_abcdefghijklmnop1234"),
    ("AKIAABCDEFGHIJKLMNOP", "AKIAABCDEFGHIJKLMNOP"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI/K7MDENG"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig", "eyJhbGciOiJIUzI1NiJ9"),
    (f"key {HEX}", HEX),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc\n-----END RSA PRIVATE KEY-----", "MIIEpAIBAAKCAQEA"),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk", "b3BlbnNzaC1rZXk"),
    ("client_secret=abc", "abc"),
    ("WANDB_API_KEY: 7d", "7d"),
    ('body {\\"api_key\\": \\"abc123\\"}', "abc123"),
    ("{'HF_TOKEN': 'abc'}", "abc"),
    ('export SECRET="a b c"', "a b c"),
    ("APIKEY:abc", "abc"),
    ("db_password=abc", "abc"),
    ("DBPASSWORD: abc", "abc"),
    ("access-token: abc", "abc"),
    ("private_key_id=abcdef", "abcdef"),
]
NAMES = [
    ("/home/alice/models/x.gguf", "alice"),
    ("/Users/alice/x", "alice"),
    ("C:\\Users\\alice\\models", "alice"),
    ("C:\\\\Users\\\\alice\\\\models", "alice"),
    ("/mnt/c/Users/alice/x", "alice"),
    ("/net/export/home/alice/x", "alice"),
    ("saved to /home/alice/x by alice", "alice"),
    ("/home/alice\nowner alice, group alice-group", "alice"),
    ("alice@gpu7:~$ ls", "gpu7"),
    ("USER=alice", "alice"),
    ('"username": "alice"', "alice"),
    ("uid=1000(alice) gid=1000", "alice"),
    ("mail alice.smith@corp.example.com now", "alice.smith"),
    ("http://gpu7.corp.example.com:8000/v1", "gpu7"),
    ("https://inference.acme-corp.internal/v1", "acme"),
    ("connect to node17.cluster.local failed", "node17"),
    ("hostname: gpu-box-7", "gpu-box-7"),
    ('"host": "gpu-box-7"', "gpu-box-7"),
    ("ip-10-0-3-4 is up", "ip-10-0-3-4"),
    ("/data/acme-project/alice/model.gguf", "acme-project"),
    ("loading /scratch/alice/m.safetensors", "alice"),
]
ADDRESSES = [
    ("bind 10.1.2.3:8000", "10.1.2.3"),
    ("http://192.168.1.20:8000/v1", "192.168.1.20"),
    ("peer 8.8.8.8", "8.8.8.8"),
    ("fe80::1ff:fe23:4567:890a%eth0", "fe80"),
    ("http://[2001:db8::1]:8000", "2001:db8"),
    ("2001:0db8:85a3:0000:0000:8a2e:0370:7334 said", "85a3"),
    ("::ffff:10.0.0.1", "10.0.0.1"),
    ("link 02:42:ac:11:00:02 up", "02:42:ac"),
    ("GPU-3f2504e0-4f89-11d3-9a0c-0305e82c3301", "4f89"),
]


@pytest.mark.parametrize(("text", "planted"), [*SECRETS, *NAMES, *ADDRESSES])
def test_nothing_planted_is_left(text, planted):
    """Neither in the middle of a line nor among other lines."""
    for shown in (text, f"before\n{text}\nafter", f"2026-11-30 INFO {text} (pid 7)"):
        assert planted not in anonymous(shown)


def test_a_secret_of_the_environment_is_masked_whatever_its_form(monkeypatch):
    """Known by the variable's name."""
    monkeypatch.setenv("MY_TOKEN", "Wednesday-at-nine-7")
    assert "Wednesday" not in anonymous("it said Wednesday-at-nine-7 twice: Wednesday-at-nine-7")


def test_whoever_runs_it_and_this_computer_are_not_named(monkeypatch):
    """Also outside of a path."""
    monkeypatch.setattr(getpass, "getuser", lambda: "bernadette")
    monkeypatch.setattr(socket, "gethostname", lambda: "tugboat.harbour.example")
    said = anonymous("bernadette on tugboat.harbour.example, again Bernadette's tugboat: bernadette")
    assert "[user] on [host], again [user]'s [host]: [user]" == said


@pytest.mark.parametrize(
    "text",
    [
        "tokens: 128, max_tokens=64, prompt tokens 1,024, 35.4 tok/s",
        "Time to first token: 0.05",
        "cached_tokens: 0, token_source usage, tokenizer=auto",
        "deepseek-ai/DeepSeek-V4-Flash-0731 with DeepSeek-V4-Flash-0731-UD-Q2_K_XL.gguf",
        "sglang 0.5.23, CUDA 12.9, driver 570.133.20, python 3.11.7",
        "http://127.0.0.1:8000/v1 and http://localhost:8000, 0.0.0.0",
        "12:34:56 INFO torch.nn.functional sglang.srt.layers.moe",
        "0.10.222.367 I slot print_timing: id 0",
        "https://huggingface.co/deepseek-ai/DeepSeek-V4-Flash",
        "/usr/lib/x86_64-linux-gnu/libcuda.so.1 and /dev/nvidia0, /v1/chat/completions",
        "--ctx-size=4096 --tensor-split=3,2 --api-key-file=[secret]",
        "Linux-6.8.0-45-generic-x86_64-with-glibc2.39",
        "AMD EPYC 9654, 8 x NVIDIA H200, 140.4 GiB",
        "prefix cache 12.5%, 3.2 ms to 4.1 ms",
    ],
)
def test_what_a_reader_needs_stays(text):
    """Figures, versions, models, loopback, system paths."""
    assert text == anonymous(text)


def test_a_path_keeps_its_end():
    """The file's name tells most; a package's path stays from its name on."""
    assert ".../model.gguf" == anonymous("/data/acme/models/model.gguf")
    assert ".../site-packages/vllm/engine.py" == anonymous("/opt2/venv/lib/python3.11/site-packages/vllm/engine.py")
    assert "~/models/x.gguf" == anonymous("/home/alice/models/x.gguf")


@pytest.mark.parametrize("part", ["a", "a-", "/a", "1.", ":", "a:b:", '"', "\\", "pass", "x.y.", "key=", "@", "http://", "basic ", "\n",
                                  "-----BEGIN PRIVATE KEY", "/home/", "a_"])  # fmt: skip
def test_endless_text_is_no_trap(part):
    """What a pattern might try for ever: it ends, and long lines are cut."""
    said = anonymous(part * 20_000)
    assert max(map(len, said.split("\n"))) <= 2_000
