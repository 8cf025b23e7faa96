"""The border: what foreign libraries raise about the network and the server becomes one of our failure kinds.

Nothing foreign travels further than this room. What is not recognised here is a bug and passes as what it is.
"""

from __future__ import annotations

import asyncio
import errno
import ssl

from aiohttp import client_exceptions as http
from aiohttp.http_exceptions import ContentLengthError, HttpProcessingError, TransferEncodingError

from crawler.fetch.guard import BlockedAddress
from crawler.spider.travel import Failure

_LONGEST_DETAIL = 300
_UNREACHABLE = frozenset(
    {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EACCES}
)
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


class FetchFailed(Exception):
    """Within this room only: unwinds from wherever a fetch went wrong to `Fetcher.fetch`, which returns the failure."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail


def failure_of(caught: Exception, elapsed: float = 0.0, *, sent: bool = True) -> Failure | None:
    """The failure that an exception means, or None if it is not the web's doing.

    sent: whether the request had left; a host name that no codec takes is a matter of DNS before, of HTTP after.
    """
    kind = _kind(caught, sent)
    if kind is None:
        return None
    detail = caught.detail if isinstance(caught, FetchFailed) else _describe(caught)
    return Failure(kind, detail[:_LONGEST_DETAIL], elapsed=elapsed)


def _kind(caught: Exception, sent: bool) -> str | None:
    match caught:
        case FetchFailed():
            return caught.kind
        case BlockedAddress():
            return "blocked-address"
        case http.ClientProxyConnectionError() | http.ClientHttpProxyError():
            return "proxy"
        case http.ClientConnectorDNSError():
            return "dns"
        case http.ClientSSLError() | http.ServerFingerprintMismatch():
            return "tls"
        case http.ClientPayloadError():
            return _kind_of_payload(caught)
        case HttpProcessingError() | http.ClientResponseError():
            return "protocol"
        case http.InvalidURL():
            return "unsendable"
        case http.ServerDisconnectedError():
            return "reset"
        case ssl.SSLError():
            return "reset" if sent else "tls"
        case TimeoutError() | asyncio.TimeoutError():
            return "reset" if sent else "connect-timeout"
        case OSError():
            return _kind_of_os(caught, sent)
        case http.ClientError():
            return "reset"
        case UnicodeError() | ValueError():
            return "protocol" if sent else "unsendable"
    return None


def _kind_of_payload(caught: http.ClientPayloadError) -> str:
    """A body that ended early, a body whose frame is broken, and a connection that broke are three things."""
    cause = caught.__cause__
    if isinstance(cause, ContentLengthError) or (
        isinstance(cause, TransferEncodingError) and "Not enough data" in str(cause)
    ):
        return "data-loss"
    return "protocol" if isinstance(cause, HttpProcessingError) else "data-loss"


def _kind_of_os(caught: OSError, sent: bool) -> str:
    """Not connecting has several reasons; a connection that breaks behind a request has one: a kind that promises that
    nothing was sent would have a POST repeated that may have been done."""
    number = caught.errno
    if isinstance(caught, http.ClientConnectorError):
        number = caught.os_error.errno or number
        if number is None:
            return "refused"  # several addresses, each with an error of its own
    elif sent:
        return "reset"
    if number in _OURS:
        return "no-socket"
    if number == errno.ETIMEDOUT:
        return "connect-timeout"
    return "refused" if number in _UNREACHABLE else "reset"


def _of_answer(caught: Exception) -> str:
    """A broken answer in our own words: aiohttp's speak of a status 400 that nobody has sent."""
    cause = caught.__cause__ if isinstance(caught, http.ClientPayloadError) else caught
    match cause:
        case ContentLengthError():
            return "the body ended before its Content-Length"
        case TransferEncodingError() if "Not enough data" in cause.message:
            return "the body ended before its last chunk"
        case TransferEncodingError():
            return f"the body's chunks are broken: {cause.message}"
        case HttpProcessingError():
            return f"the answer is not HTTP: {cause.message}"
        case http.ClientResponseError():
            return cause.message or type(cause).__name__
    return "the connection broke within the body" if isinstance(caught, http.ClientPayloadError) else ""


def _describe(caught: Exception) -> str:
    """One line; an exception without a text is named."""
    words = _of_answer(caught) or str(caught)
    text = " ".join(words.split()).removesuffix(" ^")  # under what its parser could not read, had it lines
    return text or type(caught).__name__
