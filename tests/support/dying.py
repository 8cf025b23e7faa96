"""`crawler …`, killed at an instant that is named: `python dying.py WHEN:MODULE:NAME:NTH crawl …`.

WHEN is `before` or `after` the NTH call of a function or method; the process then does what kill -9 does to it.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any


def arm(instant: str) -> None:
    when, module, name, nth = instant.split(":")
    *owner, last = name.split(".")
    holder: Any = importlib.import_module(module)
    for part in owner:
        holder = getattr(holder, part)
    original = getattr(holder, last)
    calls = 0

    def dying(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if when == "before" and calls == int(nth):
            os.kill(os.getpid(), signal.SIGKILL)
        answer = original(*arguments, **named)
        if when == "after" and calls == int(nth):
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(holder, last, dying)


if __name__ == "__main__":
    arm(sys.argv.pop(1))
    from crawler.cli.main import main

    main()
