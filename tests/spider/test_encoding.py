"""Charset decisions and decoding: the order of the sources, odd labels, bytes that no label fits."""

from __future__ import annotations

import pytest
import webencodings.labels
from hypothesis import given
from hypothesis import strategies as st
from support.growth import MOST, growth

from crawler.spider import encoding
from crawler.spider.content_type import parse
from crawler.spider.encoding import (
    HEAD_BYTES,
    declared_encoding,
    decode,
    encode_query,
    encoding_of,
    guess,
    name_of,
    prescan,
)

META = b'<meta charset="koi8-r">'
labels = st.sampled_from(sorted(webencodings.labels.LABELS))


@pytest.mark.parametrize(
    ("body", "header", "expected"),
    [
        (b"\xef\xbb\xbf" + META, "text/html; charset=big5", "utf-8"),
        (b"\xff\xfea\0", "text/html; charset=big5", "utf-16le"),
        (b"\xfe\xff\0a", "", "utf-16be"),
        (META, "text/html; charset=big5", "big5"),
        (META, "text/html; charset=no-such-label", "koi8-r"),
        (META, "text/html", "koi8-r"),
        (META, "", "koi8-r"),
        (META, "no type at all", "koi8-r"),
        (b'{"a": "<meta charset=koi8-r>"}', "application/json", "utf-8"),
        (META + b"\xe4", "text/plain", "windows-1252"),
        (b'<?xml version="1.0" encoding="koi8-r"?>', "application/rss+xml", "koi8-r"),
        (b'<?xml version="1.0" encoding="koi8-r"?><meta charset=big5>', "text/html", "big5"),
        (b'<?xml version="1.0" encoding="utf-16"?>', "text/html", "utf-8"),
        (b"<p>\xc3\xa4", "text/html", "utf-8"),
        (b"<p>\xe4", "text/html", "windows-1252"),
        (b"", "", "utf-8"),
    ],
)
def test_the_order_is_mark_then_header_then_declaration_then_guess(body: bytes, header: str, expected: str) -> None:
    assert encoding_of(body, parse(header)) == expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"<META CHARSET=KOI8-R>", "koi8-r"),
        (b"<meta charset=koi8-r/>", None),
        (b"<meta charset='koi8-r'>", "koi8-r"),
        (b"<meta charset=' koi8-r '>", "koi8-r"),
        (b"<meta charset=koi8-r", None),
        (b"<meta charset='koi8-r>", None),
        (b"<metacharset=koi8-r>", None),
        (b"<meta/charset=koi8-r >", "koi8-r"),
        (b"<meta charset=utf-16>", "utf-8"),
        (b"<meta charset=x-user-defined>", "windows-1252"),
        (b"<meta charset=nothing><meta charset=koi8-r>", "koi8-r"),
        (b"<meta charset=koi8-r charset=big5>", "koi8-r"),
        (b"<!-- <meta charset=big5> --><meta charset=koi8-r>", "koi8-r"),
        (b"<!--><meta charset=koi8-r>", "koi8-r"),
        (b"<!-- <meta charset=big5>", None),
        (b"<p title='<meta charset=big5>'><meta charset=koi8-r>", "koi8-r"),
        (b"</p <meta charset=big5><meta charset=koi8-r>", "koi8-r"),
        (b"<! x <meta charset=big5><meta charset=koi8-r>", "koi8-r"),
        (b"<!", None),
        (b"< meta charset=big5>", None),
        (b"<meta http-equiv=Content-Type content='text/html; charset=koi8-r'>", "koi8-r"),
        (b"<meta content='text/html; charset=koi8-r' http-equiv=content-type>", "koi8-r"),
        (b"<meta content='text/html; charset=koi8-r'>", None),
        (b"<meta http-equiv=refresh content='1; charset=koi8-r'>", None),
        (b"<meta http-equiv=content-type content='charset charset = koi8-r;x'>", "koi8-r"),
        (b"<meta http-equiv=content-type content='charset=\"koi8-r'>", None),
        (b"<meta http-equiv=content-type content='nothing'>", None),
        (b"<?xml version='1.0' encoding='koi8-r'?>", "koi8-r"),
        (b"<?xml version='1.0' encoding='koi8-r'", None),
        (b"<?xml version='1.0'?><x encoding='koi8-r'>", None),
        (b"<\0?\0x\0m\0l\0", "utf-16le"),
        (b"\0<\0?\0x\0m\0l", "utf-16be"),
    ],
)
def test_prescan(head: bytes, expected: str | None) -> None:
    assert prescan(head) == expected


_BITS = ["<!doctype html>", "<!DOCTYPE html>", "<html>", '<html lang="en">', '<html lang="a>b" x=1>', "<head>", "\n",
         " ", '<meta charset="koi8-r">', "<meta charset=koi8-r>", "<meta charset=koi8-r/>", '<META charset="UTF-16" />',
         '<meta charset="nothing">', "<title>x</title>", '<meta name="a">', "<!-- > -->", "<p>",
         "<meta charset=x-user-defined>"]  # fmt: skip


@given(st.lists(st.sampled_from(_BITS), max_size=8))
def test_the_short_way_for_usual_pages_finds_what_the_walk_finds(bits: list[str]) -> None:
    head = "".join(bits).encode()
    assert encoding.prescan(head) == (encoding._meta_encoding(head, to_head=False) or encoding._xml_encoding(head))


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        (b"<!--" + b"x" * 2000 + b"-->", "koi8-r"),
        (b"<script>" + b" " * 1024 + b"'<meta charset=big5>'</script>", "koi8-r"),
        (b"<title>" + b"<p>" * 500 + b"</title>", "koi8-r"),
        (b"<link rel=x>" * 200, "koi8-r"),
        (b"<script>" + b" " * 2000, None),
        (b"<p>" + b" " * 2000, None),
        (b"<!--" + b"x" * HEAD_BYTES + b"-->", None),
    ],
)
def test_a_late_declaration_counts_while_it_stands_in_the_head(between: bytes, expected: str | None) -> None:
    assert prescan(b"<html><head>" + between + META) == expected


@pytest.mark.parametrize(
    ("body", "encoding", "expected"),
    [
        (b"\xef\xbb\xbf\xc3\xa4", "utf-8", "ä"),
        (b"\xc3", "utf-8", "\ufffd"),
        (b"\xff\xfe\xe4\0", "utf-16le", "ä"),
        (b"\x80\x81\x8d\xe4", "windows-1252", "€\x81\x8dä"),
        (b"\x81\xaa\xd2", "windows-1253", "\x81\ufffd\ufffd"),
        (b"\xa0\xdb", "windows-874", "\xa0\ufffd"),
        (b"\x81\x30\x81\x30", "gbk", "\x80"),
        (b"\x82\xa0\x87\x40", "shift_jis", "あ①"),
        (b"\xb0\xa1\x8c\x63", "euc-kr", "가똠"),
        (b"\xff", "latin1", "ÿ"),
        (b"\x80", "x-user-defined", "\uf780"),
        (b"any", "replacement", "\ufffd\ufffd\ufffd"),
        (b"\xc3\xa4", "rot13", "ä"),
    ],
)
def test_decode(body: bytes, encoding: str, expected: str) -> None:
    assert decode(body, encoding) == expected


def test_a_character_cut_off_at_the_end_of_a_page_does_not_change_the_guess() -> None:
    assert guess("ä".encode() * 10 + b"\xc3") == "utf-8"
    assert guess(b"\xc3" + "ä".encode()) == "windows-1252"
    assert guess(b"caf\xe9") == "windows-1252"


@given(st.binary(max_size=200), labels)
def test_no_bytes_and_no_label_raise(body: bytes, label: str) -> None:
    name = name_of(label)
    assert name is not None
    assert isinstance(decode(body, name), str)
    header = parse(f"text/html; charset={label}")
    assert decode(body, encoding_of(body, header)) is not None


@given(st.binary(max_size=300).map(lambda tail: b"<meta " + tail) | st.binary(max_size=300))
def test_no_head_makes_the_prescan_raise(head: bytes) -> None:
    assert prescan(head) is None or declared_encoding(head, None) == prescan(head)


@given(st.text(), labels)
def test_an_encoded_query_is_printable_ascii_unless_it_is_left_to_utf_8(query: str, label: str) -> None:
    name = name_of(label)
    assert name is not None
    sent = encode_query(query, name)
    if name in {"utf-8", "utf-16le", "utf-16be", "replacement"}:
        assert sent == query
    else:
        assert sent.isascii()
        assert not set(sent) & set(" \"#<>'\t\n\r\x00")


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("UTF8", "utf-8"),
        (" latin1\n", "windows-1252"),
        ("ascii", "windows-1252"),
        ("gb2312", "gbk"),
        ("rot13", None),
        ("", None),
        ("ütf-8", None),
    ],
)
def test_labels_are_the_encoding_standards(label: str, expected: str | None) -> None:
    assert name_of(label) == expected


@pytest.mark.parametrize(
    "pump",
    [b"<?xml ", b"<?xml encoding", b"<meta ", b"<meta content='charset", b"charset=", b"<title>", b"<!--", b"</",
     b"<a b='", b'<html a="', b" ", b"<!doctype html>", b"=", b"<meta http-equiv=content-type content='charset '>"],
)  # fmt: skip
@pytest.mark.parametrize("head", [b"", b"<?xml ", b"<meta charset="])
def test_a_head_made_to_hurt_takes_time_in_proportion_to_its_length(head: bytes, pump: bytes) -> None:
    def make(size: int) -> bytes:
        return head + pump * (size // len(pump))

    assert growth(lambda body: encoding.declared_encoding(body, None), make, 8000) < MOST
