"""Fields of a config.json or of a GGUF's header, each checked before it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seatrial.errors import ModelFileError

ORIGINAL = "Take the config.json of the original repository: one that was saved again may lack fields."
GGUF = "Fetch the GGUF again; if its header says the same, take one of another publisher."
"""Remedies for a wrong field, in a config.json and in a GGUF."""

_MOST_NUMBERS = 1 << 16


@dataclass(frozen=True, slots=True)
class Fields:
    """Values somebody else wrote, by their names in config.json."""

    values: dict[str, Any]
    file: str  # name of their file in errors
    remedy: str  # advice if one is wrong

    def error(self, what: str) -> ModelFileError:
        """Return the error that says ``what`` of this file."""
        return ModelFileError(f"{self.file} {what}.", remedy=self.remedy)

    def integer(self, name: str, low: int, high: int) -> int:
        """Return a field that must be a whole number from ``low`` to ``high``.

        Raises:
            ModelFileError: If the field is missing, or anything else.

        """
        value = self.values.get(name)
        if value is None:
            raise self.error(f"has no {name}")
        if type(value) is not int or not low <= value <= high:
            raise self.error(f"says {name} = {repr(value)[:40]}; expected a whole number from {low} to {high:,}")
        return value

    def integers(self, name: str, low: int, high: int, *, at_least: int = 0) -> tuple[int, ...]:
        """Return a field that must be a list of whole numbers from ``low`` to ``high``; empty if missing.

        Raises:
            ModelFileError: If the field is anything else, or has fewer than ``at_least`` numbers.

        """
        value = self.values.get(name, [])
        if not isinstance(value, list | tuple) or not at_least <= len(value) <= _MOST_NUMBERS:
            raise self.error(f"says {name} = {repr(value)[:40]}; expected a list of at least {at_least} whole numbers")
        for number in value:
            if type(number) is not int or not low <= number <= high:
                raise self.error(f"holds {repr(number)[:40]} in {name}; expected whole numbers from {low} to {high:,}")
        return tuple(value)

    def boolean(self, name: str) -> bool:
        """Return a field that must be true or false; false if missing.

        Raises:
            ModelFileError: If the field is anything else.

        """
        value = self.values.get(name)
        if value is None or isinstance(value, bool):
            return value is True
        raise self.error(f"says {name} = {repr(value)[:40]}; expected true or false")
