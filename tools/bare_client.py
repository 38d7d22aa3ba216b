"""Send the load of the benchmark with as little as a client can do: the measure for the kit's own.

An ``asyncio.Protocol`` on uvloop that looks at the clock, cuts events at blank lines and decodes each. It knows the timed
server only: no other answer, no error, no odd byte.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
import uvloop

BODY = b'{"model":"timed","messages":[{"role":"user","content":"%b"}],"max_tokens":%d,"stream":true}'
PROMPT = b"word " * 64
DECODE = msgspec.json.Decoder().decode


class Stream(asyncio.Protocol):
    """A stream of the load: it sends its next request when an answer is complete."""

    def __init__(self, request: bytes, requests: int) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self.answers: list[dict[str, Any]] = []
        self._request = request
        self._left = requests
        self._tail = b""
        self._sent = 0
        self._stamps: list[int] = []
        self._texts: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take up the connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)

    def send(self) -> None:
        """Send the next request."""
        self._left -= 1
        self._stamps, self._texts = [], []
        self._sent = time.perf_counter_ns()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take the events of a read."""
        stamp = time.perf_counter_ns()
        *events, self._tail = (self._tail + data).split(b"\n\n")
        for event in events:
            text = event[event.index(b"data: ") + 6 :]
            if text == b"[DONE]":
                self._end(stamp)
            elif content := DECODE(text)["choices"][0]["delta"].get("content"):
                self._stamps.append(stamp)
                self._texts.append(content)

    def _end(self, stamp: int) -> None:
        self._tail = b""
        answer = {"sent": self._sent, "stamps": self._stamps, "text": "".join(self._texts), "ended": stamp}
        self.answers.append(answer)
        if self._left:
            self.send()
        elif not self.done.done():
            self.done.set_result(None)


async def load(url: str, streams: int, requests: int, tokens: int) -> dict[str, Any]:
    """Return what came of each request, and the processor time of them all."""
    parts = urlsplit(url)
    body = BODY % (PROMPT, tokens)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(
            lambda: Stream(head.encode() + body, requests), parts.hostname or "", parts.port or 0
        )
        for _ in range(streams)
    ]
    begin = time.process_time_ns()
    for _, stream in made:
        stream.send()
    await asyncio.gather(*(stream.done for _, stream in made))
    cpu_s = (time.process_time_ns() - begin) / 1e9
    return {"cpu_s": cpu_s, "answers": [answer for _, stream in made for answer in stream.answers]}


def main() -> None:
    """Load a server, and print a JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    for name in ("streams", "requests", "tokens"):
        parser.add_argument(f"--{name}", type=int, required=True)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(load(given.url, given.streams, given.requests, given.tokens))
    kilobytes = 1 if sys.platform == "darwin" else 1024
    json.dump(result | {"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobytes}, sys.stdout)


if __name__ == "__main__":
    main()
