"""The fields of a config.json or of a GGUF's header, each checked before it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seatrial.errors import ModelFileError

ORIGINAL = "Take the config.json of the original repository: one that was saved again may lack fields."
GGUF = "Fetch the GGUF again; where its header says the same, take one of another publisher."
"""What to do where a field is wrong, in a config.json and in a GGUF."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Values somebody else wrote.

    Attributes:
        values: The fields, by their names in config.json.
        file: What an error calls the file they stand in.
        remedy: What to do where one is wrong.

    """

    values: dict[str, Any]
    file: str = "config.json"
    remedy: str = ORIGINAL

    def get(self, name: str) -> Any:
        """The field as it stands; None where it is missing."""
        return self.values.get(name)

    def wrong(self, what: str) -> ModelFileError:
        """The error that says ``what`` of this file."""
        return ModelFileError(f"{self.file} {what}.", remedy=self.remedy)

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``.

        Raises:
            ModelFileError: It is missing, or something else.

        """
        value = self.get(name)
        if value is None:
            raise self.wrong(f"has no {name}")
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(f"says {name} = {repr(value)[:40]}; expected a whole number from {low} to {high:,}")
        return value

    def flag(self, name: str) -> bool:
        """True or false; false where it is missing.

        Raises:
            ModelFileError: It is something else.

        """
        value = self.get(name)
        if value is None or isinstance(value, bool):
            return value is True
        raise self.wrong(f"says {name} = {repr(value)[:40]}; expected true or false")
