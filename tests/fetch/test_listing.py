"""Lists of files that loop, repeat, contradict themselves or do not end."""

import json

import pytest
from tests.fetch.test_checkpoint import NAME, cache, checkpoint, everything_under, gguf, hub

from seatrial.errors import DoesNotFitError, ModelFileError, NetworkError, UsageError
from seatrial.fetch import listing
from seatrial.fetch.checkpoint import fetch_checkpoint

__all__ = ["cache", "gguf", "hub"]

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def mirror(monkeypatch, listening, gguf):
    """Return a function that serves pages of a list made by ``page(number)``: entries and the next page's query."""
    asked = []

    def serve(page):
        def handle(connection, request):
            path = request.split(" ")[1]
            asked.append(path)
            if "/api/" not in path:
                connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(gguf) + gguf)
                return
            number = sum("/api/" in one for one in asked)
            entries, query = page(number)
            body = json.dumps(entries).encode()
            more = f'Link: <{path.partition("?")[0]}?{query}>; rel="next"\r\n' if query else ""
            connection.sendall(OK + more.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)

        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listening(handle)}")
        return asked

    return serve


def entry(size, **fields):
    """Return the entry of the wanted file."""
    return {"type": "file", "path": NAME, "size": size, **fields}


@pytest.mark.parametrize(
    "query", ["recursive=1", "cursor=same", "cursor={}"], ids=["no cursor", "the same", "a new one"]
)
def test_a_mirror_that_ignores_the_cursor_lists_one_file(mirror, gguf, query):
    """The first page again and again: one file, its size once, downloaded once."""
    told = []
    asked = mirror(lambda number: ([entry(len(gguf))], query.format(number)))
    fetch_checkpoint(checkpoint(), on_progress=told.append)
    assert len(gguf) == told[0].total_bytes
    assert 1 == sum("/resolve/" in path for path in asked)
    assert sum("/api/" in path for path in asked) in {1, 2}


def test_pages_in_a_circle_end(mirror, gguf):
    """Two pages that name each other."""
    asked = mirror(
        lambda number: ([entry(len(gguf))] if number % 2 else [entry(5, path="a.md")], f"cursor={number % 2}")
    )
    fetch_checkpoint(checkpoint())
    assert len(asked) < 6


def test_a_file_that_is_listed_twice_is_one(mirror, gguf):
    """On one page and on the next."""
    told = []
    asked = mirror(lambda number: ([entry(len(gguf)), entry(len(gguf))], "cursor=2" if number == 1 else ""))
    fetch_checkpoint(checkpoint(), on_progress=told.append)
    assert (len(gguf), 1) == (told[0].total_bytes, told[0].total_files)
    assert 1 == sum("/resolve/" in path for path in asked)


def test_a_file_that_is_listed_with_two_sizes_is_refused(mirror, cache, gguf):
    """Which one is right, nobody knows."""
    mirror(lambda _: ([entry(len(gguf)), entry(len(gguf) + 1)], ""))
    with pytest.raises(NetworkError, match="listed twice"):
        fetch_checkpoint(checkpoint())
    assert not cache.exists()


@pytest.mark.parametrize("names", [("Model-Q4_K_M.gguf", NAME), (NAME, f"{NAME}/config.json")])
def test_names_that_differ_only_in_case_are_not_both_fetched(mirror, cache, gguf, names):
    """On some disks the second would overwrite the first."""
    mirror(lambda _: ([entry(len(gguf), path=name) for name in names], ""))
    if "/" in names[1]:
        fetch_checkpoint(checkpoint())
        assert [NAME, "seatrial.json"] == everything_under(cache)
    else:
        with pytest.raises(UsageError):
            fetch_checkpoint(checkpoint())


def test_safetensors_whose_names_differ_only_in_case_are_refused(mirror, cache):
    """Both would be chosen."""
    names = ("model.safetensors", "Model.safetensors", "config.json")
    mirror(lambda _: ([entry(8, path=name) for name in names], ""))
    with pytest.raises(ModelFileError, match="only in case"):
        fetch_checkpoint(checkpoint("someone/model-GGUF", format="safetensors", engines=("sglang",)))
    assert not cache.exists()


def test_a_list_without_an_end_is_given_up(mirror, monkeypatch):
    """New files on each page, for ever."""
    monkeypatch.setattr(listing, "_MOST_PAGES", 20)
    asked = mirror(lambda number: ([entry(1, path=f"{number}.md")], f"cursor={number}"))
    with pytest.raises(NetworkError, match="does not end"):
        fetch_checkpoint(checkpoint())
    assert 21 == len(asked)


def test_a_list_with_too_many_files_is_given_up(mirror, monkeypatch):
    """No model has so many."""
    monkeypatch.setattr(listing, "_MOST_FILES", 50)
    mirror(lambda _: ([entry(1, path=f"{number}.md") for number in range(51)], ""))
    with pytest.raises(NetworkError, match="does not end"):
        fetch_checkpoint(checkpoint())


@pytest.mark.parametrize("size", [-1, -(10**20), 3.5, "3145856", True, None, [], "nan"])
def test_a_size_that_is_none_is_unknown(mirror, gguf, size):
    """The answer's own length counts then, and the disk is checked for it."""
    told = []
    mirror(lambda _: ([entry(size)], ""))
    assert gguf == fetch_checkpoint(checkpoint(), on_progress=told.append).read_bytes()
    assert "some sizes are unknown" in told[0].text


def test_a_file_of_unknown_size_is_checked_against_the_disk(monkeypatch, listening, cache):
    """The answer announces an exabyte: refused, and nothing of it is kept."""

    def handle(connection, request):
        body = json.dumps([{"type": "file", "path": NAME}]).encode()
        size = len(body) if "/api/" in request else 10**18
        connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % size + (body if "/api/" in request else b"GGUF"))

    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listening(handle)}")
    with pytest.raises(DoesNotFitError, match="too little"):
        fetch_checkpoint(checkpoint())
    assert [] == everything_under(cache)


@pytest.mark.parametrize(
    "name",
    [
        "a\u202eb.md",
        "a\u200bb.md",
        "a\x1b[2Jb.md",
        "a\nb.md",
        "a\x9bb.md",
        "x" * 300,
        "\u00e9" * 120,
        "..",
        "/etc/x",
        7,
    ],
)
def test_names_that_no_file_here_may_have_are_refused(mirror, cache, name):
    """Also of a file that is not wanted: a hub that lists one is not trusted."""
    mirror(lambda _: ([entry(1), entry(1, path=name)], ""))
    with pytest.raises(NetworkError) as caught:
        fetch_checkpoint(checkpoint())
    assert str(caught.value).replace("\n", "").isprintable()
    assert not cache.exists()
