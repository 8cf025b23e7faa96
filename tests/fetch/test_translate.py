"""The border: which exception is which failure. A table over the real classes."""

from __future__ import annotations

import errno
import random
import ssl
from typing import Any

import aiohttp
import pytest
from aiohttp import http_exceptions as frames
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from crawler.fetch.guard import BlockedAddress
from crawler.fetch.retry import GiveUp, decide
from crawler.fetch.translate import FetchFailed, failure_of
from crawler.kinds import FAILURES

KEY = ConnectionKey("a.example", 443, True, True, None, None, None)
INFO: Any = None


def os_error(number: int) -> OSError:
    return OSError(number, "why")


def payload(cause: BaseException) -> aiohttp.ClientPayloadError:
    broken = aiohttp.ClientPayloadError("broken")
    broken.__cause__ = cause
    return broken


@pytest.mark.parametrize(
    ("caught", "kind"),
    [
        (FetchFailed("bomb", "detail"), "bomb"),
        (BlockedAddress("a is at 10.0.0.1"), "blocked-address"),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(None, "no such name")), "dns"),
        (aiohttp.ClientProxyConnectionError(KEY, os_error(errno.ECONNREFUSED)), "proxy"),
        (aiohttp.ClientHttpProxyError(INFO, (), status=407, message="who are you?"), "proxy"),
        (aiohttp.ClientConnectorCertificateError(KEY, ssl.CertificateError("expired")), "tls"),
        (aiohttp.ClientConnectorSSLError(KEY, os_error(1)), "tls"),
        (aiohttp.ServerFingerprintMismatch(b"", b"", "a", 1), "tls"),
        (aiohttp.ClientConnectorError(KEY, os_error(errno.ECONNREFUSED)), "refused"),
        (aiohttp.ClientConnectorError(KEY, os_error(errno.ENETUNREACH)), "refused"),
        (aiohttp.ClientConnectorError(KEY, OSError("Multiple exceptions: refused, unreachable")), "refused"),
        (aiohttp.ClientConnectorError(KEY, os_error(errno.ETIMEDOUT)), "connect-timeout"),
        (aiohttp.ClientConnectorError(KEY, os_error(errno.ECONNRESET)), "reset"),
        (aiohttp.ClientConnectorError(KEY, os_error(errno.EMFILE)), "no-socket"),
        (aiohttp.ClientOSError(errno.EPIPE, "pipe"), "reset"),
        (aiohttp.ServerDisconnectedError(), "reset"),
        (aiohttp.ClientConnectionResetError("closing"), "reset"),
        (aiohttp.ClientResponseError(INFO, ()), "protocol"),
        (frames.BadStatusLine("ICY"), "protocol"),
        (frames.LineTooLong("X", 1), "protocol"),
        (payload(frames.ContentLengthError("short")), "data-loss"),
        (payload(frames.TransferEncodingError("Not enough data to satisfy")), "data-loss"),
        (payload(frames.TransferEncodingError("zz")), "protocol"),
        (payload(frames.BadHttpMessage("chunk")), "protocol"),
        (payload(ConnectionResetError()), "data-loss"),
        (aiohttp.InvalidURL("x"), "unsendable"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "reset"),
        (ssl.SSLError("bad record"), "reset"),
        (UnicodeError("idna"), "protocol"),
        (ValueError("header"), "protocol"),
        (TimeoutError(), "reset"),
    ],
)
def test_what_the_web_does_wrong_is_a_failure_of_a_known_kind(caught: Exception, kind: str) -> None:
    failure = failure_of(caught, 0.5)
    assert failure is not None
    assert failure.kind == kind
    assert failure.kind in FAILURES
    assert failure.elapsed == 0.5
    assert failure.detail
    assert "\n" not in failure.detail


@pytest.mark.parametrize(
    ("caught", "kind"),
    [
        (UnicodeError("idna"), "unsendable"),
        (ValueError("forbidden control character"), "unsendable"),
        (ssl.SSLError("handshake"), "tls"),
        (TimeoutError(), "connect-timeout"),
    ],
)
def test_before_the_request_has_left_it_is_another_matter(caught: Exception, kind: str) -> None:
    failure = failure_of(caught, sent=False)
    assert failure is not None
    assert failure.kind == kind


@pytest.mark.parametrize(
    ("number", "before"),
    [
        (errno.ETIMEDOUT, "connect-timeout"),
        (errno.EHOSTUNREACH, "refused"),
        (errno.ENETUNREACH, "refused"),
        (errno.ENOBUFS, "no-socket"),
        (errno.EPIPE, "reset"),
    ],
)
def test_a_connection_that_breaks_after_the_send_has_not_failed_to_connect(number: int, before: str) -> None:
    caught = aiohttp.ClientOSError(number, "the kernel has given up")
    unsent, sent = failure_of(caught, sent=False), failure_of(caught, sent=True)
    assert unsent is not None
    assert unsent.kind == before
    assert sent is not None
    assert sent.kind == "reset"
    assert isinstance(decide(sent, 0, 2, random.Random(1), method="POST"), GiveUp), "it may have been done already"


@pytest.mark.parametrize("caught", [TypeError("x"), AttributeError("x"), KeyError("x"), AssertionError()])
def test_our_own_mistakes_are_not_the_web_s(caught: Exception) -> None:
    assert failure_of(caught) is None


def test_a_detail_is_one_bounded_line() -> None:
    failure = failure_of(ValueError("a\nb" * 1000))
    assert failure is not None
    assert len(failure.detail) <= 300


@pytest.mark.parametrize(
    ("caught", "said"),
    [
        (payload(frames.ContentLengthError("Not enough data")), "the body ended before its Content-Length"),
        (payload(frames.TransferEncodingError("Not enough data to satisfy")), "the body ended before its last chunk"),
        (
            payload(frames.TransferEncodingError("Invalid character in chunk size:\n\n  b'zz'\n    ^")),
            "the body's chunks are broken: Invalid character in chunk size: b'zz'",
        ),
        (frames.TransferEncodingError("Invalid"), "the body's chunks are broken: Invalid"),
        (payload(frames.BadHttpMessage("no")), "the answer is not HTTP: no"),
        (frames.BadStatusLine("ICY"), "the answer is not HTTP: Bad status line 'ICY'"),
        (payload(ConnectionResetError()), "the connection broke within the body"),
        (aiohttp.ClientPayloadError("Response payload is not completed"), "the connection broke within the body"),
    ],
)
def test_a_broken_answer_is_told_in_our_words_and_not_as_a_status_that_nobody_sent(
    caught: Exception, said: str
) -> None:
    failure = failure_of(caught)
    assert failure is not None
    assert failure.detail == said


def test_the_url_in_an_error_keeps_no_password() -> None:
    caught = aiohttp.ClientProxyConnectionError(
        ConnectionKey("a", 1, False, True, URL("http://user:secret@proxy:1"), None, None), os_error(errno.ECONNREFUSED)
    )
    failure = failure_of(caught)
    assert failure is not None
    assert "secret" not in failure.detail
