"""`python -m crawler` is the command."""

from __future__ import annotations

import subprocess
import sys

from crawler import __version__


def test_python_m_crawler_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "crawler", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"crawler {__version__}\n"
