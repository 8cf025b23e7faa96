"""How a value looks in print: one bounded line that is safe for any terminal and log, without the secrets in it.

Whatever comes from a configuration goes through here before a person or a log sees it. Masked are the text under a
name that says so (password, token, Authorization, Cookie …) and the credentials within a URL.
"""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

MASK = "***"
SHOWN = 100  # characters: enough to recognise a value, and a message stays a line
DEPTH = 4  # nothing in the configuration nests deeper, but a mistake may, even without end

_SECRET_KEY = re.compile(r"(^|_)(pass(word|wd|phrase)?|secret|auth|credentials?|token|api_?key)(_|$)", re.IGNORECASE)
_SECRET_ENTRY = re.compile(
    r"pass(word|wd|phrase)|secret|auth|credential|token|api[-_]?key|cookie|session", re.IGNORECASE
)
_URL_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]*@|^(?!mailto:)[^\s/:@]+:[^\s/@]+@", re.IGNORECASE)


def printable(text: str, limit: int = SHOWN) -> str:
    """No control characters, no half characters, one line, at most `limit` characters."""
    safe = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[: limit + 1])
    return safe if len(safe) <= limit else f"{safe[: limit - 1]}…"


def show(key: str, value: Any, *, quoted: bool = True, table: bool = False, limit: int = SHOWN) -> str:
    """The value of the setting `key`, whatever object it is; never raises.

    `quoted` text stands in quotation marks, as in a message; otherwise as one would type it after `-s`. `table` says
    that the value ought to be a table: text that could not be read as one is masked whole if it names a secret.
    What is longer than `limit` characters is cut.
    """
    secret = bool(_SECRET_KEY.search(key))
    if isinstance(value, str):
        text = _veil(value, secret or (table and bool(_SECRET_ENTRY.search(value))))
        return printable(text if not quoted and text and text == text.strip() else _quote(text), limit)
    try:
        return printable(_render(value, secret, DEPTH), limit)
    except Exception:  # noqa: BLE001 - a spider's object, or an integer of more than 4,300 digits
        return f"<{type(value).__name__}>"


def _veil(text: str, secret: bool) -> str:
    return MASK if secret and text else _URL_CREDENTIALS.sub(f"{MASK}@", text)


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _render(value: Any, secret: bool, depth: int) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quote(_veil(value, secret))
    if secret and isinstance(value, int | float | bytes):
        return MASK
    if depth == 0:
        return "…"
    if isinstance(value, dict):
        entries = (
            f"{_render(key, False, depth - 1)}: {_render(entry, secret or _is_secret(key), depth - 1)}"
            for key, entry in value.items()
        )
        return f"{{{', '.join(entries)}}}"
    if isinstance(value, list | tuple | set | frozenset):
        return f"[{', '.join(_render(entry, secret, depth - 1) for entry in value)}]"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime.date | datetime.time):  # TOML has them
        return value.isoformat()
    return repr(value)


def _is_secret(key: Any) -> bool:
    return isinstance(key, str) and bool(_SECRET_ENTRY.search(key))
