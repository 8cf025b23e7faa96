"""Many of the same kind are a few lines."""

import pytest

from crawler.cli import notices
from crawler.cli.notices import SAID, Unreachable, log_error
from crawler.diagnostics.report import SpiderError
from crawler.events import RobotsRead


def robots(number: int, verdict: str = "unreachable") -> RobotsRead:
    return RobotsRead(f"http://h{number}.example/robots.txt", verdict, "refused", 0.0)


def test_a_host_is_told_once_however_often_it_is_tried(caplog):
    listener = Unreachable()
    for event in [robots(1), robots(1), robots(2), robots(1), robots(3, "rules"), robots(4, "allow")]:
        listener(event)
    listener.close()
    told = "robots.txt cannot be had (refused): nothing is asked of that host until it can"
    assert caplog.messages == [f"http://h1.example/{told}", f"http://h2.example/{told}"]


@pytest.mark.parametrize("hosts", [SAID, SAID + 1, 1000])
def test_of_very_many_hosts_the_first_are_told_and_the_rest_counted_once(caplog, hosts):
    listener = Unreachable()
    for number in range(hosts):
        listener(robots(number))
        listener(robots(number))
    listener.close()
    assert len(caplog.messages) == SAID + 2 * (hosts > SAID)
    assert (f"robots.txt of {hosts:,} hosts could not be had" in caplog.text) is (hosts > SAID)


def test_an_error_of_the_spider_is_told_with_its_line_and_its_page(caplog):
    log_error(SpiderError("callback-error", "spiders/shop.py:7 in parse", "ValueError: no price", "http://a/", 1))
    (record,) = caplog.records
    assert record.getMessage() == "ValueError: no price at spiders/shop.py:7 in parse"
    assert record.url == "http://a/"
    assert record.name == notices.log.name
