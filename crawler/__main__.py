"""The entry point of the `crawler` script, and `python -m crawler` for where that is not on the path.

Only this file and `cli/interrupt.py` are loaded before a signal has a meaning: the rest takes a third of a second, and
Ctrl-C in that time is no traceback.
"""

from __future__ import annotations

from crawler.cli import interrupt


def main() -> None:
    """Do what was typed, and exit."""
    interrupt.leave_at_once()
    from crawler.cli.main import main

    main()


if __name__ == "__main__":
    main()
