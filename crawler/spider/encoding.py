"""Which encoding a page is in, and its text: as browsers decide it, never with an exception.

The order is the HTML standard's: byte-order mark, `charset` of Content-Type, a declaration in the first 1,024 bytes
(`<meta>` or `<?xml`), a `<meta>` further on in the head (where a browser would start again), a guess.
The guess is UTF-8 if the bytes are valid UTF-8, else windows-1252. Labels and names are the Encoding standard's
(`latin1` means windows-1252); no label is trusted to name a Python codec.
"""

from __future__ import annotations

import codecs
import re

import webencodings  # type: ignore[import-untyped]

from crawler.spider.content_type import ContentType

UTF_8 = "utf-8"
PRESCAN_BYTES = 1024
"""The HTML standard, §13.2.3.3: user agents look no further for a declaration."""

HEAD_BYTES = 65536
"""How far a late `<meta>` is looked for, so that a hostile head costs milliseconds at most."""

BOMS = ((codecs.BOM_UTF8, UTF_8), (codecs.BOM_UTF16_LE, "utf-16le"), (codecs.BOM_UTF16_BE, "utf-16be"))
"""Byte-order marks, and the encodings that they stand for."""
_C1_SAFE = re.compile(r"windows-(125[0-8]|874)")
# The decoder of a label where Python's codec of that name knows less: GBK is decoded as GB18030 (Encoding §10.1.1).
_DECODE_AS = {"gbk": "gb18030"}
# Encoders know less than decoders: big5 without the Hong Kong supplement (Encoding §12.1.2).
_ENCODE_AS = {"big5": "cp950"}
# What the standard's encoders refuse and Python's do not (Encoding §10.2.2 and §12.2.2), as the reference sent instead.
_SHIFTS = tuple((control, "%26%2365533%3B") for control in "\x0e\x0f\x1b")
_PRIVATE = (("\ue5e5", "%26%2358853%3B"),)
_NOT_ENCODED = {"iso-2022-jp": _SHIFTS, "gbk": _PRIVATE, "gb18030": _PRIVATE}
_OUTPUT_UTF_8 = frozenset({UTF_8, "utf-16le", "utf-16be", "replacement"})
_DROPPED = dict.fromkeys(map(ord, "\t\n\r"))
_QUERY_BYTES = [chr(byte) if 0x20 < byte < 0x7F and byte not in b"\"#<>'" else f"%{byte:02X}" for byte in range(256)]
_SPACE = b"\t\n\f\r "

_META = re.compile(rb"<meta[\t\n\f\r /]", re.IGNORECASE)
_TAG = re.compile(rb"</?([A-Za-z][^\t\n\f\r >]*)")
_HEAD_TAGS = frozenset(b"html head title base link meta style script noscript template".split())
_RAW_TEXT = frozenset(b"title style script".split())
_CHARSET = re.compile(
    rb"charset[\t\n\f\r ]*=[\t\n\f\r ]*(?:\"([^\"]*)\"|'([^']*)'|(?![\"'])([^\t\n\f\r ;]*))", re.IGNORECASE
)
# How nearly every page begins that declares its encoding: what the walk over its tags would find, in a twentieth of
# its time (1 µs). Nothing before the declaration has an attribute that could hold a tag's end.
_USUAL = re.compile(
    rb"[\t\n\f\r ]*+(?:<!doctype html>)?[\t\n\f\r ]*+"
    rb"(?:<html(?: [a-z:-]+=\"[\w:/. -]*\")*>)?[\t\n\f\r ]*+(?:<head>)?[\t\n\f\r ]*+"
    rb"<meta charset=(?:\"([\w-]+)\" ?/?|([\w-]+))>",
    re.IGNORECASE,
)
_XML = re.compile(
    rb"<\?xml(?:(?!encoding)[^>])*encoding[\x00-\x20]*=[\x00-\x20]*(?:\"([^\x00-\x20\"]*)\"|'([^\x00-\x20']*)')"
)


def encoding_of(body: bytes, content_type: ContentType | None) -> str:
    """The name of the page's encoding, as in the Encoding standard, in lower case."""
    return declared_encoding(body, content_type) or guess(body)


def declared_encoding(body: bytes, content_type: ContentType | None) -> str | None:
    """What the page says of itself: mark, header or declaration; None if it says nothing that is valid."""
    for mark, name in BOMS:
        if body.startswith(mark):
            return name
    if content_type is not None:
        named = name_of(content_type.parameters.get("charset", ""))
        if named is not None:
            return named
        if not has_markup(content_type.essence):
            return None
    return prescan(body)


def guess(body: bytes) -> str:
    """UTF-8 or windows-1252. A character cut off at the very end (a truncated page) does not count against UTF-8
    if there are whole ones before it.
    """
    try:
        _, valid = codecs.utf_8_decode(body, "strict", False)
    except UnicodeDecodeError:
        return "windows-1252"
    return UTF_8 if valid == len(body) or not body[:valid].isascii() else "windows-1252"


def decode(body: bytes, encoding: str) -> str:
    """The text, without its byte-order mark; what is not valid becomes U+FFFD. `encoding` is a name or a label."""
    for mark, name in BOMS:
        if name == encoding and body.startswith(mark):
            body = body[len(mark) :]
    if encoding == UTF_8:
        return body.decode("utf-8", "replace")
    known = webencodings.lookup(_DECODE_AS.get(encoding, encoding))
    if known is None:
        return body.decode("utf-8", "replace")
    errors = "crawler-c1" if _C1_SAFE.fullmatch(encoding) else "replace"
    text: str = known.codec_info.decode(body, errors)[0]
    return text


def name_of(label: str) -> str | None:
    """The encoding that a label means ("latin1" → "windows-1252"), None for an unknown one."""
    known = webencodings.lookup(label) if label.isascii() else None
    return None if known is None else str(known.name)


def has_markup(essence: str) -> bool:
    """Whether a type's documents have tags. A `<meta>` inside JSON or plain text is just text."""
    return "html" in essence or "xml" in essence or essence == "application/octet-stream"


def encode_query(query: str, encoding: str) -> str:
    """The query of a link as a form or link of a page in that encoding sends it: percent-encoded (URL standard §1.3).

    What the encoding cannot express becomes a percent-encoded character reference, as in browsers.
    """
    known = webencodings.lookup(encoding)
    if known is None or known.name in _OUTPUT_UTF_8:
        return query
    query = query.translate(_DROPPED)
    for bad, instead in _NOT_ENCODED.get(known.name, ()):
        query = query.replace(bad, instead)
    codec = codecs.lookup(_ENCODE_AS[known.name]) if known.name in _ENCODE_AS else known.codec_info
    sent: bytes = codec.encode(query, "crawler-reference")[0]
    return "".join(map(_QUERY_BYTES.__getitem__, sent))


def prescan(body: bytes) -> str | None:
    """What a declaration in the markup says (HTML §13.2.3.3, and "change the encoding" in §13.2.6.4.4), if any."""
    if body.startswith(b"<\0?\0x\0"):
        return "utf-16le"
    if body.startswith(b"\0<\0?\0x"):
        return "utf-16be"
    head = body[:PRESCAN_BYTES]
    if (usual := _USUAL.match(head)) and (named := _meta_says({b"charset": usual[1] or usual[2]})):
        return named
    return _meta_encoding(head, to_head=False) or _xml_encoding(head) or _late_encoding(body)


def _late_encoding(body: bytes) -> str | None:
    """A declaration beyond the first 1,024 bytes, but still in the head."""
    if len(body) <= PRESCAN_BYTES or b"charset" not in body[:HEAD_BYTES].lower():
        return None
    return _meta_encoding(body[:HEAD_BYTES], to_head=True)


def _xml_encoding(head: bytes) -> str | None:
    found = _XML.match(head)
    if found is None or b">" not in head:
        return None
    return _as_ascii(_label(found[1] if found[1] is not None else found[2]))


def _meta_encoding(head: bytes, *, to_head: bool) -> str | None:
    """Walk over comments, tags and attributes as the standard does; running out of bytes ends it.

    to_head: the first tag that may not stand in a head ends it too, and scripts, styles and titles are passed over.
    """
    at = head.find(b"<")
    while at >= 0:
        if head.startswith(b"<!--", at):
            end = head.find(b"-->", at + 2)
            if end < 0:
                return None
            at = end + 2
        elif _META.match(head, at):
            attributes, at = _attributes(head, at + 5)
            named = _meta_says(attributes) if at < len(head) else None
            if named is not None:
                return named
        elif tag := _TAG.match(head, at):
            name = tag[1].lower()
            if to_head and name not in _HEAD_TAGS:
                return None
            _, at = _attributes(head, tag.end())
            if to_head and name in _RAW_TEXT and not tag[0].startswith(b"</"):
                raw = re.compile(rb"</" + name + rb"[\t\n\f\r />]", re.IGNORECASE).search(head, at)
                if raw is None:
                    return None
                at = raw.start()
        elif head[at + 1 : at + 2] in (b"!", b"/", b"?"):
            at = head.find(b">", at)
            if at < 0:
                return None
        else:
            at += 1
        at = head.find(b"<", at)
    return None


def _meta_says(attributes: dict[bytes, bytes]) -> str | None:
    charset: str | None
    if b"charset" in attributes:
        charset = _label(attributes[b"charset"])
    elif attributes.get(b"http-equiv", b"").lower() == b"content-type":
        charset = _label(_charset_in(attributes.get(b"content", b"")))
    else:
        return None
    return "windows-1252" if charset == "x-user-defined" else _as_ascii(charset)


def _attributes(head: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    """The attributes from `at` to the tag's end; the place is the length of `head` if the tag does not end in it."""
    attributes: dict[bytes, bytes] = {}
    while True:
        while at < len(head) and head[at] in b"\t\n\f\r /":
            at += 1
        if at >= len(head) or head[at] == ord(">"):
            return attributes, at
        name, value, at = _attribute(head, at)
        attributes.setdefault(name, value)


def _attribute(head: bytes, at: int) -> tuple[bytes, bytes, int]:
    """One attribute, by the standard's "get an attribute"; names and values in lower case (ASCII)."""
    start = at
    while at < len(head) and (head[at] not in b"\t\n\f\r />=" or (head[at] == ord("=") and at == start)):
        at += 1
    name = head[start:at].lower()
    at = _skip_space(head, at)
    if at >= len(head) or head[at] != ord("="):
        return name, b"", at
    at = _skip_space(head, at + 1)
    if at < len(head) and head[at] in b"\"'":
        end = head.find(head[at : at + 1], at + 1)
        return (name, head[at + 1 : end].lower(), end + 1) if end >= 0 else (name, b"", len(head))
    start = at
    while at < len(head) and head[at] not in b"\t\n\f\r >":
        at += 1
    return name, head[start:at].lower(), at


def _skip_space(head: bytes, at: int) -> int:
    while at < len(head) and head[at] in _SPACE:
        at += 1
    return at


def _charset_in(content: bytes) -> bytes:
    """The label in `text/html; charset=…` of a meta element (HTML §2.5.1), b"" if there is none."""
    found = _CHARSET.search(content)
    return next((group for group in found.groups() if group is not None), b"") if found else b""


def _label(label: bytes) -> str | None:
    return name_of(label.decode("latin-1"))


def _as_ascii(name: str | None) -> str | None:
    """A declaration that could be read as ASCII cannot be UTF-16."""
    return UTF_8 if name in ("utf-16le", "utf-16be") else name


def _c1(bad: UnicodeError) -> tuple[str | bytes, int]:
    """Windows code pages leave bytes of 0x80 to 0x9F undefined; the Encoding standard makes them C1 controls."""
    if not isinstance(bad, UnicodeDecodeError):
        raise bad
    byte = bad.object[bad.start]
    return chr(byte) if byte < 0xA0 else "\ufffd", bad.start + 1


def _reference(bad: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(bad, UnicodeEncodeError):
        raise bad
    return "".join(f"%26%23{ord(char)}%3B" for char in bad.object[bad.start : bad.end]), bad.end


codecs.register_error("crawler-c1", _c1)
codecs.register_error("crawler-reference", _reference)
