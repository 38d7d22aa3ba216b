"""Token counts in each place and form that servers use."""

from tests.measure.stream.odd.stream import DONE, WORDS, Odd, delta, each, plain, said


def counted(*places, **usage):
    """Return a stream whose last event has this usage in such a place."""
    document = usage
    for place in reversed(places):
        document = [document] if place == 0 else {place: document}
    return (*each(plain)[:5], said(document), DONE)


def usages():
    """Yield streams with token counts in each place and form that servers use."""
    right = {"prompt_tokens": 5, "completion_tokens": 4}
    known = {"counts": {"prompt_tokens": 5, "completion_tokens": 4}}
    cached = {"counts": {"prompt_tokens": 5, "completion_tokens": 4, "cached_tokens": 3}}
    yield Odd("usage", counted("usage", **right), **known)
    for name, value in {
        "floats": (5.0, 4.0),
        "texts": ("5", "4"),
        "texts with blanks": (" 5", "4 "),
        "mixed": (5, "4"),
    }.items():
        yield Odd(f"usage: {name}", counted("usage", prompt_tokens=value[0], completion_tokens=value[1]), **known)
    yield Odd("usage: in a list", counted("usage", 0, **right), **known)
    yield Odd("usage: Responses", counted("usage", input_tokens=5, output_tokens=4), **known)
    yield Odd("usage: total and prompt", counted("usage", prompt_tokens=5, total_tokens=9), **known)
    yield Odd("usage: x_groq", counted("x_groq", "usage", **right), **known)
    yield Odd("usage: of a choice", counted("choices", 0, "usage", **right), **known)
    yield Odd("usage: of a response", counted("response", "usage", input_tokens=5, output_tokens=4), **known)
    yield Odd("usage: Ollama", counted(done=True, prompt_eval_count=5, eval_count=4), **known)
    yield Odd("usage: llama.cpp's own", counted(stop=True, tokens_evaluated=5, tokens_predicted=4), **known)
    yield Odd("usage: timings", counted("timings", prompt_n=2, cache_n=3, predicted_n=4, predicted_ms=1.5), **cached)
    yield Odd("usage: timings as floats", counted("timings", prompt_n=2.0, cache_n=3.0, predicted_n=4.0), **cached)
    yield Odd(
        "usage: details",
        counted("usage", **right, prompt_tokens_details={"cached_tokens": 3, "audio_tokens": None}),
        **cached,
    )
    yield Odd(
        "usage: input details",
        counted("usage", input_tokens=5, output_tokens=4, input_tokens_details={"cached_tokens": 3}),
        **cached,
    )
    yield Odd(
        "usage: DeepSeek's", counted("usage", **right, prompt_cache_hit_tokens=3, prompt_cache_miss_tokens=2), **cached
    )
    yield Odd(
        "usage: beside empty choices twice",
        (*counted("usage", **right)[:6], said({"choices": [], "usage": right}), DONE),
        **known,
    )
    yield Odd(
        "usage: then an empty one", (*counted("usage", **right)[:6], said({"choices": [], "usage": {}}), DONE), **known
    )
    yield Odd(
        "usage: then an odd one",
        (*counted("usage", **right)[:6], said({"choices": [], "usage": "none"}), DONE),
        **known,
    )
    yield Odd(
        "usage: then null counts",
        (*counted("usage", **right)[:6], said({"usage": {"completion_tokens": None}}), DONE),
        **known,
    )
    yield Odd(
        "usage: before timings",
        (*counted("usage", **right)[:6], said({"timings": {"predicted_n": 99, "cache_n": 3}}), DONE),
        **cached,
    )
    yield Odd("usage: in two parts", (
        said({"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}}), *each(plain)[:4],
        said({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}),
        said({"type": "message_stop"})), stamps=(2, 3, 4, 5), answer=2, **known)  # fmt: skip
    for name, usage in {
        "text": "4", "words": "four", "a float": 4.0, "a list": [4], "true": True, "nothing but total": {"total_tokens": 9}, "words for a count": {"completion_tokens": "four"},
        "a fraction": {"completion_tokens": 4.5}, "a list for a count": {"completion_tokens": [4]}, "NaN": {"completion_tokens": float("nan")},
        "true for a count": {"completion_tokens": True}, "1,000 digits": {"completion_tokens": 10**1000}, "infinite": {"completion_tokens": float("inf")},
    }.items():  # fmt: skip
        yield Odd(
            f"usage: unreadable, {name}",
            (*each(plain)[:5], said({"choices": [], "usage": usage}), DONE),
            counts={"completion_tokens": None},
        )
    for name, usage in {
        "null": None,
        "empty": {},
        "empty text": "",
        "zero": 0,
        "false": False,
        "an empty list": [],
    }.items():
        yield Odd(f"usage: none, {name}", (*each(plain)[:5], said({"choices": [], "usage": usage}), DONE))
    for name, sequence in {"so far": (1, 2, 3, 4), "of all": (4, 4, 4, 4)}.items():
        reads = each(
            lambda word, counts=sequence: (
                delta(content=word) | {"usage": {"completion_tokens": counts[WORDS.index(word)]}}
            )
        )
        yield Odd(f"usage: in each chunk, {name}", reads, counts={"completion_tokens": 4})
