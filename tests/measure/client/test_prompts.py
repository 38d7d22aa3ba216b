"""Prompts are of the length asked for with any tokenizer, and no two begin alike."""

import asyncio
import re

import pytest

from seatrial.measure.client.prompts import PromptWriter


def by_words(text):
    """Count a token a word."""
    return len(text.split())


def by_pieces(text):
    """Count long words as several tokens, as real tokenizers do."""
    return len(re.findall(r"\w{1,4}|[^\w\s]", text))


def by_pairs(text):
    """Count two tokens a word, so that some lengths do not exist."""
    return 2 * len(text.split())


def written(tokens, count, *, seed=0, template_tokens=0, shared=""):
    """Prompts written for a tokenizer; None for a server without one."""

    async def ask(text):
        return count(text)

    async def write():
        writer = PromptWriter(seed, ask if count else None)
        writer.template_tokens = template_tokens
        return [await writer.write(tokens, shared) for _ in range(5)]

    return asyncio.run(write())


@pytest.mark.parametrize("count", [by_words, by_pieces])
@pytest.mark.parametrize("tokens", [40, 128, 2000])
def test_exact_lengths(count, tokens):
    """Every prompt has exactly the length asked for, the chat template counted in."""
    for prompt in written(tokens, count, template_tokens=7):
        assert (tokens - 7, True) == (count(prompt.text), prompt.exact)


def test_lengths_that_do_not_exist():
    """If no text has the length asked for, the prompt does not claim it."""
    prompt = written(101, by_pairs)[0]
    assert not prompt.exact
    assert by_pairs(prompt.text) in {100, 102}


def test_a_tokenizer_that_stops_answering():
    """A tokenizer that fails is not asked again, and the length is not claimed."""
    asked = []
    prompts = written(128, asked.append)
    assert [False] * 5 == [prompt.exact for prompt in prompts]
    assert len(asked) == 1


def test_without_tokenizer():
    """Without a tokenizer prompts are about as long as asked, and do not claim it."""
    prompt = written(400, None)[0]
    assert not prompt.exact
    assert 250 < by_words(prompt.text) < 400


def test_no_two_begin_alike():
    """Two runs with one seed ask the same questions under different numbers, which stand first."""
    first, second = (written(60, by_words, seed=3) for _ in range(2))
    assert [prompt.text[10:] for prompt in first] == [prompt.text[10:] for prompt in second]
    beginnings = {prompt.text[:10] for prompt in (*first, *second)}
    assert 10 == len(beginnings)
    assert all(re.fullmatch(r"\[\d{8}\]", beginning) for beginning in beginnings)


def test_seeds_differ():
    """Another seed gives other prompts."""
    assert written(60, by_words, seed=1)[0].text[10:] != written(60, by_words, seed=2)[0].text[10:]


def test_renewed():
    """A prompt that is sent again gets a number of its own and keeps its length."""
    prompt = written(60, by_pieces)[0]
    again = prompt.renewed()
    assert (prompt.text[10:], by_pieces(prompt.text)) == (again.text[10:], by_pieces(again.text))
    assert prompt.text[:10] != again.text[:10]


def test_prompts_that_share_a_beginning():
    """They begin alike to the letter, are of the exact length, and end under numbers of their own, also when renewed."""
    shared = "[12345678] one two three four"
    prompts = written(60, by_words, shared=shared)
    prompts.append(prompts[0].renewed())
    assert [60] * 6 == [by_words(prompt.text) for prompt in prompts]
    assert all(prompt.text.startswith(f"{shared} [") for prompt in prompts)
    assert 6 == len({prompt.text[len(shared) + 1 :][:10] for prompt in prompts})


@pytest.mark.parametrize("count", [by_words, by_pieces])
def test_a_shared_beginning_is_of_the_length_asked_for(count):
    """It has a number of its own, so that an earlier level's beginning is not in the cache."""

    async def ask(text):
        return count(text)

    async def write():
        writer = PromptWriter(0, ask)
        return [await writer.write_beginning(900) for _ in range(2)]

    first, second = asyncio.run(write())
    assert [900, 900] == [count(first), count(second)]
    assert first[:10] != second[:10]
