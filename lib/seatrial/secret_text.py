"""Recognises secrets and masks them in text that is shown, logged or saved."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping

MASK = "[secret]"
_LEAST_CHARACTERS, _LEAST_WITHOUT_DIGITS = 8, 12
"""Shorter values are words of every log and notebook ("text/plain", "application")."""

SECRET_NAME = re.compile(r"(?i)((^|_)(TOKEN|KEY|SECRET|PAT)|PASSW(OR)?D|PASSPHRASE)$")
"""Environment variables that hold secrets: HF_TOKEN, OPENAI_API_KEY, AWS_SECRET_ACCESS_KEY, PGPASSWORD."""

SECRET = re.compile(
    r"hf_[A-Za-z0-9]{8,}|sk-[A-Za-z0-9_-]{8,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}"
    r"|nvapi-[\w-]{8,}|xox[abprs]-[\w-]{8,}|AKIA[A-Z0-9]{12,}|AIza[\w-]{20,}|glpat-[\w-]{8,}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.|-----BEGIN [A-Z ]*PRIVATE KEY|(?i:bearer\s+\S{8,})|//[^/\s:@]+:[^/\s@]+@"
)


def looks_secret(text: str) -> bool:
    """Return True if ``text`` contains a token of a known form, a private key or a password in a URL."""
    return SECRET.search(text) is not None


def secrets_of(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the secrets in environment variables (this process's by default), the longest first.

    A secret is known by the variable's name or by its form.
    """
    found: set[str] = set()
    for name, value in (os.environ if environment is None else environment).items():
        if SECRET_NAME.search(name) and not value.startswith("/"):  # the path of a key file is no secret
            found.add(value.strip())
        found.update(match[0] for match in SECRET.finditer(value))
    return tuple(sorted(filter(_is_long, found), key=len, reverse=True))


def _is_long(text: str) -> bool:
    return len(text) >= (_LEAST_CHARACTERS if any(map(str.isdigit, text)) else _LEAST_WITHOUT_DIGITS)


def cleared(text: str) -> str:
    """Return ``text`` without the secrets of this process's environment, and without tokens and passwords of a known form."""
    return SECRET.sub(MASK, masked(text, secrets_of()))


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return ``text`` without these secrets, both as they are and as JSON writes them."""
    for secret in secrets:
        for form in {secret, json.dumps(secret)[1:-1]}:
            text = text.replace(form, MASK)
    return text
