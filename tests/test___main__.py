"""`python -m crawler` is the command."""

from __future__ import annotations

import subprocess
import sys

from crawler import __version__


def test_python_m_crawler_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "crawler", "--version"], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == f"crawler {__version__}\n"


def test_the_package_loads_nothing_before_it_is_used_and_then_has_every_name_it_promises() -> None:
    code = (
        "import sys, crawler; print([name for name in sys.modules if name.startswith('crawler.')]);"
        "missing = [name for name in crawler.__all__ if getattr(crawler, name, None) is None]; print(missing)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "[]\n[]\n"
