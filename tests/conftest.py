"""What holds for every test: Ctrl-C means something."""

import signal


def pytest_configure() -> None:
    """A shell without job control starts its background commands with SIGINT ignored, and children inherit that: the
    tests that send it would wait for ever."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
