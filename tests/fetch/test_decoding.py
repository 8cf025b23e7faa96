"""Content-Encoding undone: what browsers take, cut off at the cap, truthful about the end."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.fetch.decoding import MOST_MEMBERS, SLICE, STEP, Inflater, codings
from crawler.fetch.translate import FetchFailed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b"".join(b"<p>line %d</p>\n" % number for number in range(20_000))


def raw_deflate(data: bytes) -> bytes:
    pack = zlib.compressobj(wbits=-15)
    return pack.compress(data) + pack.flush()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=3),
    "zstd": zstd.compress,
}
CODINGS = sorted(PACK)


def inflate(layers: tuple[str, ...], *data: bytes, cap: int = 1 << 24) -> tuple[bytes, bool]:
    inflater = Inflater(layers, cap)
    out = b"".join(piece for part in data for piece in inflater.feed(part))
    return out, inflater.finish()


@pytest.mark.parametrize("coding", CODINGS)
def test_each_coding_comes_out_whole_in_pieces_of_a_bounded_size(coding: str) -> None:
    inflater = Inflater((coding,), 1 << 24)
    pieces = list(inflater.feed(PACK[coding](TEXT)))
    assert b"".join(pieces) == TEXT
    assert inflater.finish()
    assert max(map(len, pieces)) <= 2 * STEP + 1024
    assert (inflater.taken, inflater.given) == (len(PACK[coding](TEXT)), len(TEXT))


@pytest.mark.parametrize("coding", CODINGS)
def test_it_does_not_matter_how_the_bytes_fall(coding: str) -> None:
    packed = PACK[coding](TEXT[:3000])
    assert inflate((coding,), *(packed[at : at + 1] for at in range(len(packed)))) == (TEXT[:3000], True)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_stream_without_its_end_says_so(coding: str) -> None:
    packed = PACK[coding](TEXT)
    for cut in (1, len(packed) // 2, len(packed) - 1):
        out, complete = inflate((coding,), packed[:cut])
        assert TEXT.startswith(out)
        assert not complete


@pytest.mark.parametrize("coding", CODINGS)
def test_what_is_not_what_its_label_says_fails(coding: str) -> None:
    with pytest.raises(FetchFailed) as caught:
        inflate((coding,), b"\x07<html>this is no compressed stream</html>")
    assert caught.value.kind == "encoding"
    assert coding in caught.value.detail


@pytest.mark.parametrize("coding", CODINGS)
def test_an_empty_body_needs_no_stream(coding: str) -> None:
    assert inflate((coding,), b"") == (b"", True)
    assert inflate((coding,)) == (b"", True)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_is_cut_off_while_it_inflates(coding: str) -> None:
    bomb = PACK[coding](bytes(50_000_000))
    inflater = Inflater((coding,), 1_000_000)
    with pytest.raises(FetchFailed) as caught:
        for _ in inflater.feed(bomb):
            pass
    assert caught.value.kind == "bomb"
    assert inflater.given < 1_000_000 + 2 * STEP + 1024


def test_a_large_body_that_is_no_bomb_is_too_large() -> None:
    noise = b"".join(zlib.crc32(b"%d" % number).to_bytes(4, "big") for number in range(100_000))
    with pytest.raises(FetchFailed) as caught:
        inflate(("gzip",), gzip.compress(noise), cap=100_000)
    assert caught.value.kind == "too-large"


def test_layers_are_undone_from_the_outside_in() -> None:
    packed = PACK["br"](PACK["gzip"](PACK["deflate"](TEXT)))
    assert inflate(("deflate", "gzip", "br"), packed) == (TEXT, True)
    assert inflate(("gzip", "gzip"), gzip.compress(gzip.compress(TEXT))) == (TEXT, True)


def test_a_bomb_inside_a_bomb_is_cut_off_as_well() -> None:
    bomb = gzip.compress(gzip.compress(bytes(100_000_000)))
    assert len(bomb) < 2_000
    with pytest.raises(FetchFailed) as caught:
        inflate(("gzip", "gzip"), bomb, cap=1_000_000)
    assert caught.value.kind == "bomb"


EMPTY_BROTLI = b"\x0c" + b"\x06" * 30_000_000 + b"\x03"
"""A brotli stream of nothing but empty metadata blocks (RFC 7932 section 9.2), a byte each."""


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("around", [(), ("gzip",), ("gzip", "gzip"), ("zstd",), ("br", "gzip")])
def test_members_and_frames_without_end_are_refused_at_any_depth(coding: str, around: tuple[str, ...]) -> None:
    packed = PACK[coding](b"") * 100_000
    for outer in around:
        packed = PACK[outer](packed)
    inflater = Inflater((coding, *around), 1 << 24)
    with pytest.raises(FetchFailed) as caught:
        for piece in inflater.feed(packed):
            assert not piece
    assert caught.value.kind == "encoding"
    assert "1,000" in caught.value.detail
    assert inflater.members <= MOST_MEMBERS + SLICE // 8


def test_a_thousand_members_are_a_body() -> None:
    assert inflate(("gzip",), gzip.compress(b"x") * MOST_MEMBERS) == (b"x" * MOST_MEMBERS, True)


@pytest.mark.parametrize(
    ("layers", "packed"),
    [
        (("br", "gzip"), gzip.compress(EMPTY_BROTLI)),
        (("br", "zstd", "gzip"), gzip.compress(zstd.compress(EMPTY_BROTLI))),
        (("deflate", "gzip"), gzip.compress(b"\0\0\0\xff\xff" * 6_000_000)),
    ],
    ids=["brotli", "brotli-deeper", "deflate"],
)
def test_layers_that_yield_nothing_are_counted_by_what_goes_into_them(layers: tuple[str, ...], packed: bytes) -> None:
    inflater = Inflater(layers, 8_000_000)
    most = before = 0
    with pytest.raises(FetchFailed) as caught:
        for piece in inflater.feed(packed):
            assert not piece
            most, before = max(most, inflater.made - before), inflater.made
    assert caught.value.kind == "bomb"
    assert inflater.given == 0
    assert inflater.made < 8_000_000 + 3 * STEP
    assert most <= 2 * STEP + 1024, "its caller can stop or move it after each step, though there is no output"


def test_deflate_comes_with_and_without_its_wrapper() -> None:
    assert inflate(("deflate",), raw_deflate(TEXT)) == (TEXT, True)
    assert inflate(("deflate",), zlib.compress(TEXT)) == (TEXT, True)


def test_several_members_and_frames_are_one_body() -> None:
    assert inflate(("gzip",), gzip.compress(b"one ") + gzip.compress(b"two")) == (b"one two", True)
    assert inflate(("gzip",), gzip.compress(b"one "), gzip.compress(b"two")) == (b"one two", True)
    assert inflate(("zstd",), zstd.compress(b"one ") + zstd.compress(b"two")) == (b"one two", True)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_rubbish_after_the_end_is_ignored(coding: str) -> None:
    assert inflate((coding,), PACK[coding](b"text") + bytes(100) + b"rubbish") == (b"text", True)


@pytest.mark.parametrize(
    ("lines", "layers"),
    [
        ([], ()),
        ([b"gzip"], ("gzip",)),
        ([b"X-GZIP , Deflate"], ("gzip", "deflate")),
        ([b"gzip", b"br"], ("gzip", "br")),
        ([b"identity, utf-8, none,, gzip"], ("gzip",)),
        ([b""], ()),
    ],
)
def test_labels_are_read_as_browsers_read_them(lines: list[bytes], layers: tuple[str, ...]) -> None:
    assert codings([(b"content-ENCODING", line) for line in lines]) == layers


@pytest.mark.parametrize("label", [b"compress", b"gzip, x-compress", b"gzip," * 6])
def test_what_cannot_be_undone_is_refused(label: bytes) -> None:
    with pytest.raises(FetchFailed) as caught:
        codings([(b"Content-Encoding", label)])
    assert caught.value.kind == "encoding"


@given(st.lists(st.binary(max_size=200), max_size=4), st.lists(st.sampled_from(CODINGS), min_size=1, max_size=3))
def test_no_bytes_end_in_anything_but_output_or_a_failure(data: list[bytes], layers: list[str]) -> None:
    kind = ""
    try:
        inflate(tuple(layers), *data, cap=100_000)
    except FetchFailed as failed:
        kind = failed.kind
    assert kind in {"", "encoding", "bomb", "too-large"}


@given(st.binary(max_size=5000), st.lists(st.sampled_from(CODINGS), min_size=1, max_size=3))
def test_what_was_packed_comes_back(data: bytes, layers: list[str]) -> None:
    packed = data
    for coding in layers:
        packed = PACK[coding](packed)
    assert inflate(tuple(layers), packed) == (data, True)
