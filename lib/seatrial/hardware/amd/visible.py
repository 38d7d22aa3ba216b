"""Applies the variables with which a person shows ROCm only some GPUs, one after another as ROCm does.

ROCr applies ROCR_VISIBLE_DEVICES; HIP counts what that leaves by HIP_VISIBLE_DEVICES, or CUDA_VISIBLE_DEVICES if that is not set
or empty (ROCm/rocm-systems: rocr-runtime amd_filter_device.cpp, clr rocdevice.cpp, Device::init). HIP itself takes no notice of
GPU_DEVICE_ORDINAL, which AMD's documentation says it obeys: the kit obeys it, and has the engine told in HIP's own variable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from seatrial.hardware.amd.cards import Card

_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]{0,8})")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_UUID_LENGTHS = range(5, 21)
_NO_UUID = "GPU-XX"
"""What ROCr calls a GPU without a number of its own."""
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Visible:
    """What the variables leave."""

    cards: tuple[Card, ...]  # in the order in which the engine is to number them
    hip: tuple[Card, ...]  # those that HIP shows by these variables itself
    rocr: tuple[Card, ...]  # those that HIP_VISIBLE_DEVICES counts
    settings: tuple[str, ...]  # variables that had a say, as NAME=value

    def variable_for(self, chosen: Sequence[Card]) -> str:
        """Return HIP_VISIBLE_DEVICES=... with which HIP shows exactly these."""
        return f"HIP_VISIBLE_DEVICES={','.join(str(self.rocr.index(card)) for card in chosen) or '-1'}"


def visible_cards(found: Sequence[Card], environment: Mapping[str, str]) -> Visible:
    """Return what the variables of an environment leave of the GPUs of a machine."""
    settings = []

    def apply(name: str, left: Sequence[Card], choose: Callable[[Sequence[Card], str], list[Card]]) -> tuple[Card, ...]:
        value = environment[name]
        settings.append(f"{name}={value[:_SHOWN]}")
        return tuple(choose(left, value))

    rocr = hip = tuple(found)
    if "ROCR_VISIBLE_DEVICES" in environment:
        rocr = hip = apply("ROCR_VISIBLE_DEVICES", rocr, _rocr)
    for name in ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"):
        if environment.get(name):  # HIP takes an empty one for unset
            hip = apply(name, rocr, _hip)
            break
    left = apply("GPU_DEVICE_ORDINAL", hip, _hip) if environment.get("GPU_DEVICE_ORDINAL") else hip
    return Visible(left, hip, rocr, tuple(settings))


def _rocr(found: Sequence[Card], setting: str) -> list[Card]:
    """Return the GPUs of a list of ROCr's: it ends at the first entry that is invalid or a repetition."""
    chosen: list[Card] = []
    for word in setting.upper().split(",")[: len(found)]:
        card = _rocr_card(found, word.strip())
        if card is None or card in chosen:
            break
        chosen.append(card)
    return chosen


def _rocr_card(found: Sequence[Card], word: str) -> Card | None:
    if word.startswith("G"):
        same = [card for card in found if card.uuid and card.uuid.upper().startswith(word)]
        return same[0] if len(same) == 1 and len(word) in _UUID_LENGTHS else None
    if not _NUMBER.fullmatch(word):
        return None
    number = int(word, 8 if re.fullmatch(r"[+-]?0[0-7]+", word) else 0)
    return found[number] if 0 <= number < len(found) else None


def _hip(found: Sequence[Card], setting: str) -> list[Card]:
    """Return the GPUs of a list of HIP's: it ends at the first invalid entry, and a repetition counts once."""
    chosen: list[Card] = []
    for word in setting.split(","):
        if "GPU-" in word:
            card = next((card for card in found if word in (card.uuid or _NO_UUID)), None)
        else:
            card = found[int(word)] if _INDEX.fullmatch(word) and int(word) < len(found) else None
        if card is None:
            break
        if card not in chosen:
            chosen.append(card)
    return chosen
