"""Content-Encoding undone: gzip, deflate, br, zstd, also stacked, in small steps under a cap.

A body inflates in pieces of a bounded size, so the caller decides after each whether to go on, where to run the next
one, and when it is enough: a bomb is cut off at the cap and never exists as a whole. What each layer yields counts, not
the innermost one's alone: `gzip, gzip, gzip` around millions of empty members, 363 bytes, yielded nothing for 16 s.
What browsers accept is accepted (raw deflate, several gzip members, rubbish after the last one); a stream that ends
before its end is data loss, not success; a stream that is not what its label says is a failure.

aiohttp's own inflation is switched off: it hands a truncated gzip page over as a success, leaves `gzip, gzip`
undecoded, and runs on the event loop however large the body.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import brotli  # type: ignore[import-untyped]

from crawler.fetch.translate import FetchFailed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ACCEPTED = "gzip, deflate, br, zstd"
"""The Accept-Encoding to send: exactly what can be undone here."""
STEP = 256 * 1024
"""Bytes of output in one step: about a millisecond."""
SLICE = 4096
"""Bytes of input in one go, so that it is known what a piece of output was made of."""
MOST_CODINGS = 5
"""Layers that anybody has a use for is two; curl stops at five as well."""
MOST_MEMBERS = 1_000
"""gzip members and zstd frames of a body, over all layers: each costs up to 11 µs, though it be empty."""
BOMB_RATIO = 100
"""Output to input beyond which a body over the cap is called a bomb. HTML seldom passes 20; gzip can reach 1,032."""
# RFC 9659: a content coding's window is at most 8 MiB, so that a decoder's memory is bounded.
_ZSTD_OPTIONS: Mapping[int, int] = {zstd.DecompressionParameter.window_log_max: 23}

_NAMES = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate", "br": "br", "zstd": "zstd"}
_UNSUPPORTED = frozenset({"compress", "x-compress", "dcb", "dcz", "exi", "pack200-gzip", "aes128gcm"})


def codings(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, ...]:
    """The layers to undo, the outermost last, as Content-Encoding lists them (RFC 9110 section 8.4).

    What is no coding at all ("utf-8", "none", "identity") is ignored, as browsers do.
    Raises FetchFailed `encoding` for a registered coding that this decoder has not, and for too many layers.
    """
    found: list[str] = []
    for name, value in headers:
        if len(name) == 16 and name.lower() == b"content-encoding":
            for word in value.decode("latin-1").lower().split(","):
                coding = word.strip(" \t")
                if coding in _UNSUPPORTED:
                    raise FetchFailed("encoding", f"Content-Encoding: {coding}")
                if coding in _NAMES:
                    found.append(_NAMES[coding])
    if len(found) > MOST_CODINGS:
        raise FetchFailed("encoding", f"{len(found)} layers of Content-Encoding")
    return tuple(found)


class _Stage(Protocol):
    """One layer: takes input, yields output in pieces of at most about STEP bytes; knows whether it is complete."""

    begun: int
    """Members or frames so far."""

    def feed(self, data: bytes) -> Iterator[bytes]: ...

    def complete(self) -> bool: ...


class _Zlib:
    """gzip (several members, RFC 1952 section 2.2) and deflate (with or without the zlib wrapper)."""

    def __init__(self, coding: str) -> None:
        self._gzip = coding == "gzip"
        # State: between streams (_inflate is None), the bytes that must tell what comes next gather in _head.
        self._inflate: Any = None
        self._head = b""
        self._ended = False
        """A stream has ended: what follows is another gzip member, or rubbish that everybody ignores."""
        self._rubbish = False
        self.begun = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data and not self._rubbish:
            if self._inflate is None:
                data = self._begin(data)
                if self._inflate is None:
                    return
            piece = self._inflate.decompress(data, STEP)
            if piece:
                yield piece
            data = self._inflate.unconsumed_tail
            if self._inflate.eof:
                data = self._inflate.unused_data
                self._inflate, self._ended = None, True

    def _begin(self, data: bytes) -> bytes:
        """Start a stream, once there are enough bytes to know of what kind."""
        data, self._head = self._head + data, b""
        if len(data) < 2:
            self._head = data
        elif not self._ended:
            self._inflate = zlib.decompressobj(31 if self._gzip else 15 if _has_zlib_header(data) else -15)
        elif self._gzip and data.startswith(b"\x1f\x8b"):
            self._inflate = zlib.decompressobj(31)
        else:
            self._rubbish = True
        self.begun += self._inflate is not None
        return data

    def complete(self) -> bool:
        return self._inflate is None and (self._ended or not self._head)


def _has_zlib_header(data: bytes) -> bool:
    return data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0


class _Brotli:
    def __init__(self) -> None:
        self._inflate = brotli.Decompressor()
        self._started = False
        self.begun = 1

    def feed(self, data: bytes) -> Iterator[bytes]:
        if not data:
            return
        self._started = True
        piece = self._inflate.process(data, output_buffer_limit=STEP)
        while piece:
            yield piece
            if self._inflate.is_finished():
                return
            piece = self._inflate.process(b"", output_buffer_limit=STEP)

    def complete(self) -> bool:
        return self._inflate.is_finished() or not self._started


class _Zstd:
    """Several frames, one after the other (RFC 8878 section 3)."""

    def __init__(self) -> None:
        self._inflate = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)
        self._started = False
        self._fresh = True
        self.begun = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data or not (self._fresh or self._inflate.needs_input or self._inflate.eof):
            self.begun += self._fresh
            self._started, self._fresh = True, False
            piece = self._inflate.decompress(data, STEP)
            if piece:
                yield piece
            data = b""
            if self._inflate.eof:
                data = self._inflate.unused_data
                self._inflate = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)
                self._fresh = True

    def complete(self) -> bool:
        return self._fresh or not self._started


def _stage(coding: str) -> _Stage:
    if coding == "br":
        return _Brotli()
    return _Zstd() if coding == "zstd" else _Zlib(coding)


class Inflater:
    """Undoes the codings of one body. Feed it the bytes as they come; `finish` says whether all of it was there.

    cap: bytes of any layer's output beyond which it raises FetchFailed `too-large`, or `bomb` if the input was far
    smaller.
    """

    def __init__(self, layers: Sequence[str], cap: int) -> None:
        self._stages = [_stage(coding) for coding in reversed(layers)]
        self._layers = layers
        self._cap = cap
        # State: bytes taken in, and bytes that each layer has yielded, the innermost last. Changed in feed and _run.
        self._passed = [0] * (len(layers) + 1)

    @property
    def taken(self) -> int:
        """Bytes of input so far."""
        return self._passed[0]

    @property
    def given(self) -> int:
        """Bytes of output so far."""
        return self._passed[-1]

    @property
    def made(self) -> int:
        """Bytes that all layers together have yielded: the work so far, though nothing of it be output."""
        return sum(self._passed) - self._passed[0]

    @property
    def members(self) -> int:
        """gzip members and zstd frames so far, in all layers."""
        return sum(stage.begun for stage in self._stages)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Output in pieces, an empty one where a layer has yielded something and the innermost nothing yet.

        Stop asking at any time; what was not asked for does not exist yet. `made` grows by at most about two STEP from
        one piece to the next. Raises FetchFailed: `encoding`, `too-large` or `bomb`.
        """
        try:
            yield from self._run(0, data)
        except (zlib.error, brotli.error, zstd.ZstdError) as bad:
            raise self._bad(str(bad)) from None

    def _run(self, depth: int, data: bytes) -> Iterator[bytes]:
        """The layer `depth`, the outermost being 0, and those within it. In slices also there: what follows a gzip
        member is copied."""
        stage, innermost = self._stages[depth], depth + 1 == len(self._stages)
        for start in range(0, len(data), SLICE):
            part = data[start : start + SLICE]
            if depth == 0:
                self._passed[0] += len(part)
            for piece in stage.feed(part):
                self._count(depth + 1, len(piece))
                if innermost:
                    yield piece
                else:
                    yield b""
                    yield from self._run(depth + 1, piece)
            if self.members > MOST_MEMBERS:
                raise self._bad(f"more than {MOST_MEMBERS:,} members or frames")

    def _count(self, layer: int, size: int) -> None:
        self._passed[layer] += size
        made = self._passed[layer]
        if made > self._cap:
            kind = "bomb" if made > BOMB_RATIO * max(1, self.taken) else "too-large"
            raise FetchFailed(kind, f"{self.taken:,} bytes inflate to more than {self._cap:,}")

    def _bad(self, why: str) -> FetchFailed:
        return FetchFailed("encoding", f"Content-Encoding: {', '.join(self._layers)}: {why}")

    def finish(self) -> bool:
        """Whether every layer has come to its own end; False: the body was cut off on the way."""
        return all(stage.complete() for stage in self._stages)

    def __repr__(self) -> str:
        return f"<Inflater {', '.join(self._layers)}: {self.taken:,} → {self.given:,}>"
