"""Judges the token counts that a server gives: which of them can be right, and why the others cannot.

Gateways send usage that is zero, that of another request, or that of one chunk. Such a count is left out, and the
tokens are counted otherwise.
"""

from __future__ import annotations

from seatrial.measure.stream.answer import Answer

_SPARE_TEMPLATE = 1 << 14  # tokens that a server may put before a prompt of its own accord
_WORDS_A_TOKEN = 2  # no tokenizer puts more of them together, on average
# Tokens that a server may count beyond what was asked for, and chunks beyond its tokens: an end mark, a text held back.
_SPARE_OF_ASKED = 16
_SPARE = 1


def doubt_output(answer: Answer, asked: int) -> str:
    """Return why the server's count of output tokens cannot be right, empty if it can or if none came."""
    if answer.usage is None:
        return ""
    tokens, chunks = answer.usage.completion_tokens, len(answer.stamps)
    if tokens is None:
        return answer.usage.odd
    most = max(asked, chunks)
    most += most // _SPARE_OF_ASKED + _SPARE
    why = ""
    if tokens < 1 and chunks:
        why = f"is {shown(tokens)} for {chunks} chunks with text"
    elif tokens + tokens // _SPARE_OF_ASKED + _SPARE < chunks:
        why = f"is {tokens} for {chunks} chunks with text, which hold a token each at least"
    elif tokens > most:
        why = f"is {shown(tokens)} although {asked:,} tokens were asked for and {chunks:,} chunks came"
    elif tokens < answer.usage_most:
        why = f"fell from {shown(answer.usage_most)} to {tokens:,}"
    # Counts beside several chunks may be of all so far, of the whole answer, or of each chunk.
    elif not answer.usage_grew and tokens < answer.usage_sum <= most:
        why = f"is {tokens:,} at the end, but those beside each chunk add up to {answer.usage_sum:,}"
    return f"completion_tokens {why}" if why else ""


def doubt_prompt(answer: Answer, prompt: str) -> str:
    """Return why the server's count of prompt tokens cannot be right, empty if it can or if none came."""
    if answer.usage is None:
        return ""
    tokens, words = answer.usage.prompt_tokens, len(prompt.split())
    if tokens is None:
        return answer.usage.odd
    if words // _WORDS_A_TOKEN <= tokens <= len(prompt.encode()) + _SPARE_TEMPLATE and tokens > 0:
        return ""
    return f"prompt_tokens is {shown(tokens)} for a prompt of {words:,} words"


def believed_first(answer: Answer, tokens: int) -> int | None:
    """Return the tokens of the first chunk by the server's count, None if that cannot be right."""
    first = answer.first_chunk_tokens
    # Some servers send the final count with each chunk.
    return first if first is not None and 1 <= first <= tokens - len(answer.stamps) + 1 else None


def believed_cached(answer: Answer, prompt_tokens: int | None) -> int | None:
    """Return the prompt tokens that the prefix cache answered, None if the server's count cannot be right."""
    cached = answer.cached_tokens
    return cached if cached is not None and 0 <= cached <= (prompt_tokens or _SPARE_TEMPLATE) else None


def shown(count: int) -> str:
    """Return a count as a person reads it, a very long one by its length."""
    return f"{count:,}" if abs(count) < 10**12 else "a number of more than 12 digits"
