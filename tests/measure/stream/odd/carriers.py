"""Tokens in each field and form that servers use."""

import json

from tests.measure.stream.odd.stream import END, RAW, WORDS, Odd, chunk, delta, each, raw, said

ANSWERS = {
    "a text": lambda word: delta(content=word),
    "a part": lambda word: delta(content={"type": "text", "text": word}),
    "parts": lambda word: delta(content=[{"type": "text", "text": word}]),
    "parts that are texts": lambda word: delta(content=[word]),
    "two parts": lambda word: delta(content=[{"type": "text", "text": ""}, {"type": "output_text", "text": word}]),
    "a part in a part": lambda word: delta(content=[{"type": "message", "content": [{"type": "output_text", "text": word}]}]),
    "a part with a value": lambda word: delta(content=[{"type": "text", "text": {"value": word, "annotations": []}}]),
    "delta.text": lambda word: delta(text=word),
    "delta.output_text": lambda word: delta(output_text=word),
    "delta as text": chunk,
    "delta as parts": lambda word: chunk([{"type": "text", "text": word}]),
    "choice.text": lambda word: {"choices": [{"index": 0, "text": word, "logprobs": None, "finish_reason": None}]},
    "choice.text beside an empty delta": lambda word: {"choices": [{"text": word, "delta": {}}]},
    "choice.text beside a role": lambda word: {"choices": [{"text": word, "delta": {"role": "assistant", "content": ""}}]},
    "choice.content": lambda word: {"choices": [{"index": 0, "content": word}]},
    "choice.message": lambda word: {"choices": [{"index": 0, "message": {"role": "assistant", "content": word}}]},
    "choice.message beside no delta": lambda word: {"choices": [{"delta": None, "message": {"content": word}}]},
    "choice.message as text": lambda word: {"choices": [{"message": word}]},
    "delta before message": lambda word: {"choices": [{"delta": {"content": word}, "message": {"content": "all of it"}}]},
    "refusal": lambda word: delta(content=None, refusal=word),
    "refusal beside no text": lambda word: delta(content="", refusal=word),
    "transcript": lambda word: delta(audio={"id": "a", "transcript": word}),
    "transcript beside sound": lambda word: delta(content=None, audio={"data": "UklGRg==", "transcript": word}),
    "choices as an object": lambda word: {"choices": {"index": 0, "delta": {"content": word}}},
    "choices by number": lambda word: {"choices": {"0": {"index": 0, "delta": {"content": word}}}},
    "choices with null before": lambda word: {"choices": [None, {"index": 0, "delta": {"content": word}}]},
    "choices with text before": lambda word: {"choices": ["x", {"index": 0, "delta": {"content": word}}]},
    "choices with an empty one before": lambda word: {"choices": [{}, {"index": 1, "delta": {"content": word}}]},
    "only the second choice": lambda word: {"choices": [{"index": 1, "delta": {"content": word}}]},
    "only the second of two": lambda word: {
        "choices": [{"index": 0, "delta": {}}, {"index": 1, "delta": {"content": word}}]},
    "only the second of two, with null": lambda word: {
        "choices": [{"index": 0, "delta": {"content": None}}, {"index": 1, "delta": {"content": word}}]},
    "index 7": lambda word: {"choices": [{"index": 7, "delta": {"content": word}}]},
    "index -1": lambda word: {"choices": [{"index": -1, "delta": {"content": word}}]},
    "index as text": lambda word: {"choices": [{"index": "0", "delta": {"content": word}}]},
    "index counts the chunks": lambda word: {"choices": [{"index": WORDS.index(word), "delta": {"content": word}}]},
    "index counts the chunks from 1": lambda word: {"choices": [{"index": 1 + WORDS.index(word), "delta": {"content": word}}]},
    "content null in the same delta": lambda word: b'{"choices":[{"delta":{"content":"%b","content":null}}]}' % word.encode(),
    "choices twice": lambda word: b'{"choices":[{"delta":{"content":"%b"}}],"choices":[]}' % word.encode(),
    "choices twice, empty first": lambda word: b'{"choices":[],"choices":[{"delta":{"content":"%b"}}]}' % word.encode(),
    "a list at the top": lambda word: [delta(content=word)],
    "JSON in a text": lambda word: json.dumps(delta(content=word)),
    "a sign of life in the same event": lambda word: b"{}" + json.dumps(delta(content=word)).encode(),
    "a document of nothing behind": lambda word: json.dumps(delta(content=word)).encode() + b"null",
    "words behind": lambda word: json.dumps(delta(content=word)).encode() + b" and so on",
    "a comma behind": lambda word: json.dumps(delta(content=word)).encode() + b",",
    "a semicolon behind": lambda word: json.dumps(delta(content=word)).encode() + b";",
    "NUL behind": lambda word: json.dumps(delta(content=word)).encode() + b"\0",
    "a record separator before": lambda word: b"\x1e" + json.dumps(delta(content=word)).encode(),
    "a byte-order mark before": lambda word: b"\xef\xbb\xbf" + json.dumps(delta(content=word)).encode(),
    "data: twice": lambda word: b"data: " + json.dumps(delta(content=word)).encode(),
    "data: three times": lambda word: b"data:data: " + json.dumps(delta(content=word)).encode(),
    "blanks around": lambda word: b" \t " + json.dumps(delta(content=word)).encode() + b" \t ",
    "written with indents": lambda word: json.dumps(delta(content=word), indent=1).replace("\n", "\r\ndata: ").encode(),
    "written with indents and no name": lambda word: json.dumps(delta(content=word), indent=1).replace("\n", "\ndata:").encode(),
    "Ollama's chat": lambda word: {"model": "m", "message": {"role": "assistant", "content": word}, "done": False},
    "Ollama's generate": lambda word: {"model": "m", "response": word, "done": False},
    "Anthropic's": lambda word: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}},
    "Anthropic's tool": lambda word: {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": word}},
    "Responses": lambda word: {"type": "response.output_text.delta", "item_id": "i", "output_index": 0, "delta": word},
    "Responses, refusal": lambda word: {"type": "response.refusal.delta", "delta": word},
    "Responses, tool": lambda word: {"type": "response.function_call_arguments.delta", "delta": word},
    "llama.cpp's own": lambda word: {"index": 0, "content": word, "tokens": [7], "stop": False, "id_slot": -1},
    "TGI's own": lambda word: {"index": 1, "token": {"id": 5, "text": word, "special": False}, "generated_text": None},
    "Cohere's": lambda word: {"is_finished": False, "event_type": "text-generation", "text": word},
    "a delta at the top": lambda word: {"delta": {"content": word}},
    "text at the top": lambda word: {"text": word},
    "content at the top": lambda word: {"type": "content", "content": word},
}  # fmt: skip

CALLS = {
    "arguments": lambda word: [{"index": 0, "function": {"arguments": word}}],
    "arguments beside an empty name": lambda word: [
        {"index": 0, "id": None, "function": {"name": "", "arguments": word}}
    ],
    "arguments beside a null name": lambda word: [{"index": 0, "function": {"name": None, "arguments": word}}],
    "a name": lambda word: [{"id": "t", "type": "function", "function": {"name": word, "arguments": ""}}],
    "one as an object": lambda word: {"index": 0, "function": {"arguments": word}},
    "by number": lambda word: {"0": {"function": {"arguments": word}}},
    "without function": lambda word: [{"name": None, "arguments": word}],
    "custom": lambda word: [{"type": "custom", "custom": {"input": word}}],
    "text": lambda word: word,
    "a list with null": lambda word: [None, {"function": {"arguments": word}}],
    "function null": lambda word: [{"function": None, "arguments": word}],
    "an odd id": lambda word: [{"index": "0", "id": 7, "type": None, "function": {"arguments": word}}],
}

THOUGHTS = {
    "reasoning_content": lambda word: delta(reasoning_content=word, content=None),
    "reasoning": lambda word: delta(reasoning=word, content=""),
    "thinking": lambda word: delta(thinking=word),
    "reasoning_text": lambda word: delta(reasoning_text=word),
    "reasoning, a text in an object": lambda word: delta(reasoning={"text": word}),
    "reasoning, content in an object": lambda word: delta(reasoning={"type": "reasoning", "content": word}),
    "reasoning, a summary": lambda word: delta(reasoning={"summary": word}),
    "reasoning, a summary in parts": lambda word: delta(reasoning={"summary": [{"type": "summary_text", "text": word}]}),
    "reasoning in parts": lambda word: delta(reasoning=[{"type": "text", "text": word}]),
    "reasoning_content in parts": lambda word: delta(reasoning_content=[{"type": "text", "text": word}]),
    "reasoning_details": lambda word: delta(content="", reasoning_details=[{"type": "reasoning.text", "text": word}]),
    "reasoning_details beside reasoning": lambda word: delta(
        reasoning=word, reasoning_details=[{"type": "reasoning.text", "text": word}]),
    "a summary in reasoning_details": lambda word: delta(
        reasoning_details=[{"type": "reasoning.summary", "summary": word}]),
    "thinking as a part": lambda word: delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": word}]}]),
    "reasoning as a part": lambda word: delta(content=[{"type": "reasoning", "text": word}]),
    "both names": lambda word: delta(reasoning_content=word, reasoning=word),
    "the other name is empty": lambda word: delta(reasoning_content="", reasoning=word),
    "an odd content beside": lambda word: delta(reasoning_content=word, content=[]),
    "Ollama's thinking": lambda word: {"message": {"content": "", "thinking": word}, "done": False},
    "Anthropic's thinking": lambda word: {
        "type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": word}},
    "Responses, reasoning": lambda word: {"type": "response.reasoning_text.delta", "delta": word},
    "Responses, summary": lambda word: {"type": "response.reasoning_summary_text.delta", "delta": word},
    "in a message": lambda word: {"choices": [{"message": {"reasoning_content": word}}]},
}  # fmt: skip


def carriers():
    """Yield streams whose tokens come in each field and form that servers use."""
    for name, document_of in ANSWERS.items():
        yield Odd(f"answer: {name}", each(document_of))
    for name, calls_of in CALLS.items():
        yield Odd(f"tool call: {name}", each(lambda word, of=calls_of: delta(content=None, tool_calls=of(word))))
    for name in ("arguments", "name"):
        yield Odd(f"function call: {name}", each(lambda word, name=name: delta(function_call={name: word})))
    yield Odd("tool call: arguments as an object",
              each(lambda word: delta(tool_calls=[{"function": {"arguments": {word: 1}}}])),
              text='{"A": 1}{"B": 1}{"C": 1}{"D": 1}')  # fmt: skip
    for name, document_of in THOUGHTS.items():
        reads = (*(said(document_of(word)) for word in "AB"), said(delta(content="C")), said(delta(content="D")), *END)
        yield Odd(f"thought: {name}", reads, answer=3)
    yield Odd("answer: parts with one odd",
              each(lambda word: delta(content=[{"type": "image_url", "image_url": {"url": "x"}}, {"text": word}])),
              odd="choices[0].delta.content is an object without text")  # fmt: skip
    yield Odd("answer: odd reasoning beside",
              each(lambda word: delta(content=word, reasoning={"effort": 7})),
              odd="choices[0].delta.reasoning is an object without text")  # fmt: skip
    yield Odd("encrypted reasoning", (
        *(said(delta(reasoning_details=[{"type": "reasoning.encrypted", "data": "c2Vh"}])) for _ in "AB"),
        said(delta(content="C")), said(delta(content="D")), *END), text="CD", answer=3)  # fmt: skip
    yield Odd("sound without a transcript", each(lambda _: delta(audio={"id": "a", "data": "UklGRg=="})), text="")
    yield Odd("digits as numbers", (
        *(said(delta(content=number)) for number in (0, 1, 1.5, 2)), *END), text="011.52")  # fmt: skip
    yield Odd("an emoji in two halves", (
        *(said(b'{"choices":[{"delta":{"content":"%b"}}]}' % half) for half in (rb"\ud83d", rb"\ude00") * 2),
        *END), text="\U0001f600" * 2)  # fmt: skip
    yield Odd(
        "halves without their other",
        each(lambda _: rb'{"choices":[{"delta":{"content":"\ud83d"}}]}'),
        text="\ufffd" * 4,
    )
    yield Odd(
        "NUL and colours in the text", each(lambda _: delta(content="\0\x1b[1m\u202e")), text="\0\x1b[1m\u202e" * 4
    )
    yield Odd(
        "raw controls in the text",
        each(lambda _: b'{"choices":[{"delta":{"content":"a\tb\x01"}}]}'),
        text="a\tb\x01" * 4,
    )
    yield Odd("[DONE] as text", each(lambda _: delta(content="[DONE]")), text="[DONE]" * 4)
    yield Odd("nan and None as text", each(lambda _: raw({"x": RAW, **delta(content='nan None \\"')}, b"nan")),
              text='nan None \\"' * 4)  # fmt: skip
