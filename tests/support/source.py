"""Lines of a test's own file, by what stands in them."""

from __future__ import annotations

from pathlib import Path


def line_of(text: str, file: str) -> int:
    """The number of the first line that holds the text. Raises StopIteration if none does."""
    return next(n for n, line in enumerate(Path(file).read_text().splitlines(), 1) if text in line)
