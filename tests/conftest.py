"""What holds for every test: a signal means something."""

import signal


def pytest_configure() -> None:
    """nohup, and a shell without job control, start a command with signals ignored, and its children inherit that: the
    tests that send them would wait for ever."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
