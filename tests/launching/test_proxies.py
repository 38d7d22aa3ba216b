"""An engine asks itself directly, whatever proxies its environment names."""

import psutil
import pytest

from seatrial.errors import UsageError
from seatrial.launching.proxies import direct_addresses

PROXY = {"http_proxy": "http://proxy.example.net:3128"}
OWN = "127.0.0.1,localhost,::1"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"NO_PROXY": "corp.local"}, None),
        ({"HTTP_PROXY": " ", "https_proxy": ""}, None),
        ({"ALL_PROXY": "socks5://10.0.0.1:1080"}, OWN),
        ({"grpc_proxy": "http://p:1"}, OWN),
        (PROXY | {"no_proxy": "  "}, OWN),
        (PROXY | {"NO_PROXY": "corp.local, .example.net,,"}, f"corp.local,.example.net,{OWN}"),
        (PROXY | {"no_proxy": "a,b", "NO_PROXY": "b,c"}, f"a,b,c,{OWN}"),
        (PROXY | {"no_proxy": "LOCALHOST,127.0.0.1"}, "LOCALHOST,127.0.0.1,::1"),
        (PROXY | {"no_proxy": "10.0.0.0/8 host:8080"}, f"10.0.0.0/8,host:8080,{OWN}"),
        (PROXY | {"NO_PROXY": "*"}, "*"),
        (PROXY | {"no_proxy": "a", "NO_PROXY": "*"}, "*"),
    ],
)
def test_both_spellings_name_its_own_addresses(environment, expected):
    """Only if a proxy is set; what stood in either is kept, nothing stands twice, and ``*`` stands by itself."""
    both = {"no_proxy": expected, "NO_PROXY": expected} if expected else {}
    assert both == direct_addresses(environment, "127.0.0.1")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.9", "fe80::1"])  # noqa: S104 -- an address to name
def test_the_address_it_listens_on_is_named_too(host):
    """SGLang asks itself at the very address it was told to listen on."""
    assert f"{OWN},{host}" == direct_addresses(PROXY, host)["NO_PROXY"]


def test_what_is_no_text_is_refused():
    """The server's record could not hold it."""
    with pytest.raises(UsageError, match="NO_PROXY"):
        direct_addresses(PROXY | {"NO_PROXY": "\udcff"}, "127.0.0.1")


def test_a_launched_engine_has_them(fake, monkeypatch):
    """In the environment of the process that runs, with what stood there."""
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", PROXY["http_proxy"])
    monkeypatch.setenv("NO_PROXY", "corp.local")
    seen = psutil.Process(fake().pid).environ()
    assert [f"corp.local,{OWN}"] * 2 == [seen["NO_PROXY"], seen["no_proxy"]]
    assert PROXY["http_proxy"] == seen["http_proxy"]
