"""Requests go only to allowed addresses, in whatever spelling these come."""

import pytest

from seatrial.errors import UsageError
from seatrial.measure.target import check_address, check_url, find_target


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://localhost:8000/v1", "http://localhost:8000"),
        ("https://Example.org/openai/v1/", "https://example.org/openai"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://2130706433:80/v1", "http://127.0.0.1:80"),
    ],
)
def test_base_urls(given, base):
    """The base is what stands before /v1, in one spelling."""
    assert base == check_url(given)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000",
        "file:///etc/passwd",
        "gopher://127.0.0.1:70",
        "ftp://127.0.0.1",
        "http://",
        "http://:8000",
        "http://user:password@127.0.0.1:8000",
        "http://sk-key@127.0.0.1:8000",
        "http://127.0.0.1:0",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:8000/v1?key=1",
        "http://127.0.0.1:8000/#x",
        "http://127.0.0.1:8000/a b",
        "http://127.0.0.1:8000\r\nX-Header: 1",
        "http://127.0.0.1\\@example.org",
        "http://[::1",
        "http://" + "a" * 5000,
        "http://169.254.169.254/latest/meta-data",
        "http://169.254.169.254./",
        "http://2852039166/",
        "http://0xA9FEA9FE/",
        "http://0251.0376.0251.0376/",
        "http://169.254.43518/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::169.254.169.254]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[2002:a9fe:a9fe::]/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://\uff11\uff16\uff19.254.169.254/",
        "http://169\u3002254\u3002169\u3002254/",
        "http://100.100.100.200/",
        "http://metadata.google.internal/computeMetadata/v1/",
        "http://METADATA/",
        "http://0.0.0.0:8000/",
        "http://224.0.0.1/",
        "http://%31%36%39.254.169.254/",
    ],
)
def test_refused_urls(url):
    """Other schemes, credentials in the URL, and metadata services in any spelling are refused."""
    with pytest.raises(UsageError):
        check_url(url)


def test_resolved_addresses_are_checked():
    """A harmless name that resolves to a metadata service is refused under the name a person gave."""
    with pytest.raises(UsageError, match="harmless"):
        check_address("::ffff:169.254.169.254", "harmless.example.org")


@pytest.mark.parametrize("key", ["", "  ", "two\nlines", "ключ", "x" * 5000])
def test_refused_keys(key):
    """A key that no header may carry is refused, and not repeated."""
    with pytest.raises(UsageError) as caught:
        find_target("http://127.0.0.1:8000", api_key=key)
    assert not key.strip() or key not in str(caught.value)


def test_key_is_never_shown():
    """The key does not stand in what a debugger or a traceback prints."""
    assert "sesame" not in repr(find_target("http://127.0.0.1:8000", api_key="sesame"))
