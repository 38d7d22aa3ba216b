"""Odd values in fields that carry no token."""

from tests.measure.stream.odd.stream import RAW, Odd, each, raw

LITERALS = {
    "null": b"null", "zero": b"0", "one": b"1", "negative": b"-1", "whole as a float": b"8.0", "a float": b"1.5", "true": b"true",
    "false": b"false", "no text": b'""', "text": b'"x"', "digits": b'"8"', "an empty list": b"[]", "an empty object": b"{}",
    "a list with null": b"[null]", "a list of numbers": b"[1,2]", "a list of lists": b"[[[]]]", "an object": b'{"a":1}',
    "an object with null": b'{"a":null}', "NaN": b"NaN", "Infinity": b"Infinity", "-Infinity": b"-Infinity", "nan": b"nan", "-inf": b"-inf",
    "None of Python": b"None", "True of Python": b"True", "undefined": b"undefined", "out of range": b"1e400", "large": b"1e300",
    "400 digits": b"9" * 400, "5,000 digits": b"7" * 5000, "a thousand digits and a fraction": b"1" * 1000 + b".5",
    "2^63": b"9223372036854775808", "-2^63-1": b"-9223372036854775809", "half a character": rb'"\ud83d"', "the other half": rb'"\udc00"',
    "NUL": rb'"\u0000"', "a raw tab": b'"a\tb"', "a raw NUL": b'"a\0b"', "bytes that are no UTF-8": b'"\xff\xfe"', "backwards": rb'"\u202ex"',
    "a byte-order mark": b'"\xef\xbb\xbf"', "brackets in a text": b'"' + b"[{" * 500 + b'"', "100 levels": b"[" * 100 + b"]" * 100,
    "300 objects deep": b'{"a":' * 300 + b"1" + b"}" * 300, "a long text": b'"' + b"y" * 50_000 + b'"', "a long list": b"[" + b"1," * 5000 + b"1]",
    "a name twice": b'{"a":1,"a":2}', "[DONE]": b'"[DONE]"', "an event": rb'"data: {}\n\n"',
}  # fmt: skip

BESIDE = {
    "id": lambda word: {"id": RAW, "choices": [{"delta": {"content": word}}]},
    "object": lambda word: {"object": RAW, "choices": [{"delta": {"content": word}}]},
    "created": lambda word: {"created": RAW, "choices": [{"delta": {"content": word}}]},
    "model": lambda word: {"model": RAW, "choices": [{"delta": {"content": word}}]},
    "type": lambda word: {"type": RAW, "choices": [{"delta": {"content": word}}]},
    "code": lambda word: {"code": RAW, "choices": [{"delta": {"content": word}}]},
    "message": lambda word: {"message": RAW, "choices": [{"delta": {"content": word}}]},
    "detail": lambda word: {"detail": RAW, "choices": [{"delta": {"content": word}}]},
    "usage": lambda word: {"choices": [{"delta": {"content": word}}], "usage": RAW},
    "usage.completion_tokens": lambda word: {"choices": [{"delta": {"content": word}}], "usage": {"completion_tokens": RAW}},
    "usage.prompt_tokens": lambda word: {"choices": [{"delta": {"content": word}}], "usage": {"prompt_tokens": RAW}},
    "usage.total_tokens": lambda word: {"choices": [{"delta": {"content": word}}], "usage": {"total_tokens": RAW}},
    "usage.prompt_tokens_details": lambda word: {
        "choices": [{"delta": {"content": word}}], "usage": {"prompt_tokens_details": RAW}},
    "usage.cached_tokens": lambda word: {
        "choices": [{"delta": {"content": word}}], "usage": {"prompt_tokens_details": {"cached_tokens": RAW}}},
    "usage of a choice": lambda word: {"choices": [{"delta": {"content": word}, "usage": RAW}]},
    "x_groq": lambda word: {"choices": [{"delta": {"content": word}}], "x_groq": RAW},
    "x_groq.usage": lambda word: {"choices": [{"delta": {"content": word}}], "x_groq": {"usage": RAW}},
    "timings": lambda word: {"choices": [{"delta": {"content": word}}], "timings": RAW},
    "timings.cache_n": lambda word: {"choices": [{"delta": {"content": word}}], "timings": {"cache_n": RAW}},
    "timings.predicted_n": lambda word: {"choices": [{"delta": {"content": word}}], "timings": {"predicted_n": RAW}},
    "index": lambda word: {"choices": [{"index": RAW, "delta": {"content": word}}]},
    "logprobs": lambda word: {"choices": [{"delta": {"content": word}, "logprobs": RAW}]},
    "logprobs.content": lambda word: {"choices": [{"delta": {"content": word}, "logprobs": {"content": RAW}}]},
    "matched_stop": lambda word: {"choices": [{"delta": {"content": word}, "matched_stop": RAW}]},
    "role": lambda word: {"choices": [{"delta": {"content": word, "role": RAW}}]},
    "message of a choice": lambda word: {"choices": [{"delta": {"content": word}, "message": RAW}]},
    "text beside content": lambda word: {"choices": [{"delta": {"content": word, "text": RAW}}]},
    "role of plain text": lambda word: {"choices": [{"text": word, "role": RAW}]},
    "delta beside plain text": lambda word: {"choices": [{"text": word, "x": RAW}], "prompt_logprobs": RAW},
    "in the first place": lambda word: {"a": RAW, "choices": [{"a": RAW, "delta": {"a": RAW, "content": word}}]},
}  # fmt: skip

FALSY = ("null", "zero", "false", "no text", "an empty list", "an empty object", "a list with null", "an object with null",
         "None of Python", "a list of lists", "undefined")  # fmt: skip
ERRORS = {
    name: lambda word, name=name: {"choices": [{"delta": {"content": word}}], name: RAW} for name in ("error", "errors")
}


def beside(place):
    """Yield streams with each odd value in a field that carries no token; an error is none only if it says nothing."""
    document_of = {**BESIDE, **ERRORS}[place]
    for name in LITERALS if place in BESIDE else FALSY:
        reads = each(lambda word, of=document_of, lit=LITERALS[name]: raw(of(word), lit))
        yield Odd(f"{place} is {name}", reads)
