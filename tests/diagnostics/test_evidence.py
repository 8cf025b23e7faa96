"""The clocks: they run when they should, and everything is given back."""

from __future__ import annotations

import gc
import os
import threading
import time

from crawler.diagnostics import evidence


def test_a_threads_clock_counts_what_it_runs_and_not_what_it_sleeps() -> None:
    clock = evidence.OwnClock()
    before = clock.read()
    end = time.thread_time() + 0.02
    while time.thread_time() < end:
        pass
    after = clock.read()
    time.sleep(0.02)
    asleep = clock.read()
    clock.close()
    assert after.cpu - before.cpu >= 0.02
    assert asleep.cpu - after.cpu < 0.01
    assert after.at - before.at >= after.cpu - before.cpu
    if after.queued is not None:
        assert 0 <= after.queued - before.queued <= after.at - before.at


def test_another_threads_clock_can_be_read() -> None:
    running, stop = threading.Event(), threading.Event()

    def work() -> None:
        running.set()
        while not stop.is_set():
            pass

    thread = threading.Thread(target=work)
    thread.start()
    assert running.wait(30)
    assert thread.ident is not None
    clock = evidence.cpu_clock_of(thread.ident)
    assert clock is not None
    before = time.clock_gettime(clock)
    while time.clock_gettime(clock) <= before:
        time.sleep(0.001)
    assert evidence.thread_name(thread.ident) == thread.name
    stop.set()
    thread.join()


def test_closing_gives_the_descriptor_back_and_reading_goes_on_without() -> None:
    before = set(os.listdir("/proc/self/fd"))
    clock = evidence.OwnClock()
    clock.close()
    clock.close()
    assert clock.queued() is None
    assert clock.read().queued is None
    assert set(os.listdir("/proc/self/fd")) == before


def test_switches_count_sleeps() -> None:
    before = evidence.own_switches()
    for _ in range(5):
        time.sleep(0.001)
    assert evidence.own_switches() >= before + 5


def test_collections_are_counted_in_cpu_time_and_the_callback_is_taken_back() -> None:
    meter = evidence.GarbageMeter()
    known = list(gc.callbacks)
    meter.start()
    keep = [[n] for n in range(200_000)]
    gc.collect()
    meter.stop()
    meter.stop()
    assert meter.seconds >= meter.longest > 0
    assert gc.callbacks == known
    seconds = meter.seconds
    gc.collect()
    assert meter.seconds == seconds
    assert len(keep) == 200_000


def test_a_collection_that_is_under_way_counts_so_far() -> None:
    meter = evidence.GarbageMeter()
    meter._note("start", {})
    assert meter.so_far(threading.get_ident(), time.thread_time() + 1.0) >= 1.0
    assert meter.so_far(0, time.thread_time() + 1.0) == 0.0
