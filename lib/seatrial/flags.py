"""Flags of a command as a mapping, which the last step writes as words."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Flags(Mapping[str, str | None]):
    """Flags by name, in the order of the command. A switch has the value None, a repeated flag its last value.

    Attributes:
        pairs: Name and value of each flag, repeated ones included; an empty name marks a word that follows no flag.
        apart: Flags whose value is a word of its own; every other one is spelled ``--name=value``.

    """

    pairs: tuple[tuple[str, str | None], ...] = ()
    apart: frozenset[str] = frozenset()

    @classmethod
    def of(cls, values: Mapping[str, object]) -> Flags:
        """Return flags with these values, numbers as text: None makes a switch, a list repeats the flag."""
        each = ((name, value) for name, given in values.items() for value in _listed(given))
        return cls(tuple((name, None if value is None else str(value)) for name, value in each))

    @classmethod
    def from_words(cls, words: Iterable[str]) -> Flags:
        """Read the words of a command, values joined (``--name=value``) or apart; ``to_argv`` gives the same words."""
        pairs: list[tuple[str, str | None]] = []
        apart = set()
        for word in words:
            name, equals, value = word.partition("=")
            if word.startswith("--"):
                pairs.append((name, value if equals else None))
            elif pairs and pairs[-1][1] is None:
                pairs[-1] = (pairs[-1][0], word)
                apart.add(pairs[-1][0])
            else:
                pairs.append(("", word))
        return cls(tuple(pairs), frozenset(apart))

    def to_argv(self) -> tuple[str, ...]:
        """Return the words of a command."""
        words: list[str] = []
        for name, value in self.pairs:
            if name and value is not None and name not in self.apart:
                words.append(f"{name}={value}")
            else:
                words += [word for word in (name or None, value) if word is not None]
        return tuple(words)

    def with_value(self, name: str, value: str | None) -> Flags:
        """Return flags with this one in the place it has, or at the end in the spelling of the others."""
        if name in self:
            at = next(at for at, pair in enumerate(self.pairs) if pair[0] == name)
            rest = tuple(pair for pair in self.pairs[at:] if pair[0] != name)
            return replace(self, pairs=(*self.pairs[:at], (name, value), *rest))
        valued = {each for each, old in self.pairs if each and old is not None}
        apart = self.apart | {name} if valued and valued <= self.apart else self.apart
        return Flags((*self.pairs, (name, value)), apart)

    def without(self, names: Container[str]) -> Flags:
        """Return all flags but these."""
        return replace(self, pairs=tuple(pair for pair in self.pairs if pair[0] not in names))

    def only(self, names: Container[str]) -> Flags:
        """Return these flags, as far as they are set."""
        return replace(self, pairs=tuple(pair for pair in self.pairs if pair[0] in names))

    def __add__(self, others: Flags) -> Flags:
        return Flags(self.pairs + others.pairs, self.apart | others.apart)

    def __getitem__(self, name: str) -> str | None:
        return dict(self.pairs)[name]

    def __iter__(self) -> Iterator[str]:
        return iter({name: None for name, _ in self.pairs if name})

    def __len__(self) -> int:
        return len({name for name, _ in self.pairs if name})


def _listed(given: object) -> list[object]:
    return given if isinstance(given, list) else [given]
