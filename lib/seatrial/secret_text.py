"""What looks like a secret, and a text with the secrets in it masked: for whatever is shown, logged or kept."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping

MASK = "[secret]"
LEAST_CHARACTERS, LEAST_WITHOUT_DIGITS = 8, 12
"""Shorter values are words that stand in every log and notebook ("text/plain", "application")."""

SECRET_NAME = re.compile(r"(?i)((^|_)(TOKEN|KEY|SECRET|PAT)|PASSW(OR)?D|PASSPHRASE)$")
"""Environment variables that hold secrets: HF_TOKEN, OPENAI_API_KEY, AWS_SECRET_ACCESS_KEY, PGPASSWORD."""

SECRET = re.compile(
    r"hf_[A-Za-z0-9]{8,}|sk-[A-Za-z0-9_-]{8,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}"
    r"|nvapi-[\w-]{8,}|xox[abprs]-[\w-]{8,}|AKIA[A-Z0-9]{12,}|AIza[\w-]{20,}|glpat-[\w-]{8,}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.|-----BEGIN [A-Z ]*PRIVATE KEY|(?i:bearer\s+\S{8,})|//[^/\s:@]+:[^/\s@]+@"
)


def looks_secret(text: str) -> bool:
    """Whether a token of a known form, a private key or a password in a URL stands in ``text``."""
    return SECRET.search(text) is not None


def secrets_of(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The secrets an environment holds, by the names and the forms of its values; the longest first.

    Args:
        environment: This process's by default.

    """
    found: set[str] = set()
    for name, value in (os.environ if environment is None else environment).items():
        if SECRET_NAME.search(name) and not value.startswith("/"):  # a path to a key is none
            found.add(value.strip())
        found.update(match[0] for match in SECRET.finditer(value))
    return tuple(sorted(filter(_is_long, found), key=len, reverse=True))


def _is_long(text: str) -> bool:
    return len(text) >= (LEAST_CHARACTERS if any(map(str.isdigit, text)) else LEAST_WITHOUT_DIGITS)


def masked(text: str, secrets: Iterable[str]) -> str:
    """``text`` without these secrets, as they are and as JSON writes them."""
    for secret in secrets:
        for form in {secret, json.dumps(secret)[1:-1]}:
            text = text.replace(form, MASK)
    return text
