"""Several answers although one was asked for, and whole streams of other APIs."""

import json

from tests.measure.stream.odd.stream import DONE, WORDS, Odd, chunk, each, plain, said


def several(*rows):
    """Return a stream of choices, each event given by its (index, text, finish reason) rows."""
    documents = (
        {"choices": [{"index": at, "delta": {"content": text}, "finish_reason": why} for at, text, why in row]}
        for row in rows
    )
    return (*map(said, documents), DONE)


def choices():
    """Yield streams of several answers although one was asked for: the first counts, and that is said."""
    doubt = "tokens of several choices came"
    both = [((0, word, None), (1, word.lower(), None)) for word in WORDS]
    yield Odd("two choices in each event", several(*both, [(0, "", "stop"), (1, "", "stop")]), odd=doubt)
    turns = [[row] for pair in both for row in pair]
    yield Odd(
        "two choices in turn", several(*turns, [(0, "", "stop")], [(1, "", "stop")]), stamps=(1, 3, 5, 7), odd=doubt
    )
    yield Odd(
        "one choice after the other",
        several(*turns[::2], [(0, "", "stop")], *turns[1::2], [(1, "", "stop")]),
        odd=doubt,
    )
    yield Odd("one choice after the other, without a reason", several(*turns[::2], *turns[1::2]), odd=doubt)
    yield Odd(
        "the other choice ends first",
        several(*turns, [(1, "", "stop")], [(0, "", "stop")]),
        stamps=(1, 3, 5, 7),
        odd=doubt,
    )
    yield Odd(
        "the other choice has one token",
        several(turns[0], turns[1], *turns[2::2], [(0, "", "stop")]),
        stamps=(1, 3, 4, 5),
        odd=doubt,
    )
    three = [[(at, word, None)] for word in WORDS for at in range(3)]
    yield Odd("three choices in turn", several(*three, [(0, "", "stop")]), stamps=(1, 4, 7, 10), odd=doubt)
    high = [[(at, word if at == 2 else "x", None)] for word in WORDS for at in (2, 5)]
    yield Odd("choices 2 and 5 in turn", several(*high, [(2, "", "stop")]), stamps=(1, 3, 5, 7), odd=doubt)
    yield Odd(
        "an empty second choice", several(*[((0, word, None), (1, "", None)) for word in WORDS], [(0, "", "stop")])
    )
    yield Odd("the whole answer again at the end", (*each(plain)[:4], said(chunk({"content": WORDS}, "stop")), DONE))
    yield Odd(
        "the whole answer as the last message",
        (*each(plain)[:4], said({"choices": [{"message": {"content": WORDS}, "finish_reason": "stop"}]}), DONE),
    )
    yield Odd(
        "the whole answer in one event",
        (said({"choices": [{"message": {"content": WORDS}, "finish_reason": "stop"}]}), DONE),
        stamps=(1,),
    )


def dialects():
    """Yield whole streams of other APIs."""
    yield Odd("Ollama's, a line each", tuple(
        json.dumps({"model": "m", "message": {"role": "assistant", "content": word}, "done": not word, "eval_count": 4}).encode() + b"\n"
        for word in (*WORDS, "")), counts={"completion_tokens": 4})  # fmt: skip
    yield Odd("Anthropic's", (
        b'event: message_start\ndata: {"type":"message_start","message":{"content":[],"usage":{"input_tokens":5,"output_tokens":1}}}\n\n',
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n',
        b'event: ping\ndata: {"type": "ping"}\n\n',
        *(b"event: content_block_delta\n" + said({"type": "content_block_delta", "delta": {"type": "text_delta", "text": word}}) for word in WORDS),
        b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n',
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":4}}\n\n',
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n'), stamps=(4, 5, 6, 7), answer=4,
        counts={"prompt_tokens": 5, "completion_tokens": 4})  # fmt: skip
    yield Odd("Responses", (
        said({"type": "response.created", "response": {"status": "in_progress", "usage": None}}),
        said({"type": "response.output_item.added", "item": {"type": "message", "content": []}}),
        *(said({"type": "response.output_text.delta", "delta": word}) for word in WORDS),
        said({"type": "response.output_text.done", "text": WORDS}),
        said({"type": "response.content_part.done", "part": {"type": "output_text", "text": WORDS}}),
        said({"type": "response.completed", "response": {"output": [{"content": [{"text": WORDS}]}], "usage": {"input_tokens": 5, "output_tokens": 4}}}),
        ), stamps=(3, 4, 5, 6), answer=3, counts={"prompt_tokens": 5, "completion_tokens": 4})  # fmt: skip
    yield Odd("llama.cpp's own", (
        *(said({"content": word, "stop": False}) for word in WORDS),
        said({"content": "", "stop": True, "stop_type": "limit", "tokens_predicted": 4, "tokens_evaluated": 5})),
        counts={"prompt_tokens": 5, "completion_tokens": 4})  # fmt: skip
    yield Odd(
        "TGI's own",
        (
            *(said({"token": {"text": word}, "generated_text": None, "details": None}) for word in "ABC"),
            said(
                {
                    "token": {"text": "D"},
                    "generated_text": WORDS,
                    "details": {"finish_reason": "length", "generated_tokens": 4},
                }
            ),
        ),
    )
