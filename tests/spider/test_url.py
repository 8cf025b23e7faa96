"""URLs: tables of what people write, and laws that hold for whatever anybody writes."""

from __future__ import annotations

import ada_url
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crawler.spider import url as urls

BASE = "https://user@books.example:8443/catalogue/part/page-3.html?sort=price"

# What links look like, and what tries to look like one: words, dots, escapes, foreign letters, control characters.
_WORDS = [
    "a",
    "b.html",
    "..",
    ".",
    "...",
    "/",
    "//",
    "?",
    "#",
    "%2e",
    "%2E%2e",
    "%41",
    "%",
    ":",
    "http:",
    "https://",
    "mailto:",
    "@",
    "\\",
    "é",
    "例え",
    "'",
    '"',
    "<",
    "|",
    "[",
    "^",
    "q=1&r=2",
    ";",
    "~",
    "-",
    "_",
    "x.example",
    "X.Example",
    "xn--",
    "127.1",
    "0x7f.1",
    "1",
    ":443",
    ":80",
    ":8443",
    "[::1]",
    "books.example",
    "user@",
]
_pieces = st.sampled_from([*_WORDS, " ", "\t", "\n", "\x00", "\x7f", "\xad"])
_references = st.lists(_pieces, max_size=8).map("".join) | st.text(max_size=30)
_bases = st.sampled_from(
    [
        BASE,
        "http://a.example/",
        "http://a.example/x/",
        "http://a.example//x//y",
        "https://[::1]:8080/a?b",
        "http://1.2.3.4/a/b/c",
    ]
)


def _by_ada(base: str | None, reference: str) -> str | None:
    """The standard's answer, without any shortcut of ours."""
    try:
        href = ada_url.normalize_url(reference) if base is None else ada_url.join_url(base, reference)
    except (ValueError, UnicodeError):
        return None
    return href.partition("#")[0] if href.startswith(("http://", "https://")) else None


def _ours(base: str | None, reference: str) -> str | None:
    try:
        return urls.normalise(reference) if base is None else urls.join(base, reference)
    except urls.BadURL:
        return None


def _encodable(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


@given(_bases, _references.filter(_encodable))
@example("http://a.example/", "https://books.examplefoo/x")
@example(BASE, "https://user@books.example:8443foo/x")
@example(BASE, "..//x")
@example(BASE, "../..//x")
@example(BASE, "../../../../x")
@example(BASE, "a/..")
@example(BASE, "a/%2e%2E/b")
@example(BASE, "http://xn--a.example/")
@example(BASE, "http://a.b.1/")
@example(BASE, "https:page")
def test_the_shortcuts_say_what_the_standard_says(base: str, reference: str) -> None:
    assert _ours(base, reference) == _by_ada(base, reference)
    assert _ours(None, reference) == _by_ada(None, reference)


@given(_bases, _references)
def test_normalising_is_idempotent_and_gives_http_without_fragment(base: str, reference: str) -> None:
    for url in (_ours(base, reference), _ours(None, reference)):
        if url is not None:
            assert urls.normalise(url) == url
            assert urls.join(base, url) == url
            assert url.startswith(("http://", "https://"))
            assert "#" not in url
            assert url.isascii()


@given(_bases, _references)
def test_a_normal_url_can_be_sliced_into_its_parts_and_put_together_again(base: str, reference: str) -> None:
    url = _ours(base, reference)
    if url is not None:
        assert f"{urls.scheme(url)}://{urls.authority(url)}{urls.path(url)}" == url
        assert urls.origin(url) == f"{urls.scheme(url)}://{urls.host_key(url)}"
        assert urls.authority(url).endswith(urls.host_key(url))
        assert urls.path(url).startswith("/")
        assert "@" not in urls.host_key(url)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("HTTP://Books.Example", "http://books.example/"),
        ("https://books.example:443/a", "https://books.example/a"),
        ("http://books.example:80/a#top", "http://books.example/a"),
        ("http://books.example:8080/", "http://books.example:8080/"),
        ("http://books.example/a/./b/../c", "http://books.example/a/c"),
        ("http://books.example/a b", "http://books.example/a%20b"),
        (" http://books.example/\n", "http://books.example/"),
        ("http://bücher.example/ä", "http://xn--bcher-kva.example/%C3%A4"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://[::0001]/", "http://[::1]/"),
        ("http:\\\\books.example\\a", "http://books.example/a"),
    ],
)
def test_normalise(given: str, expected: str) -> None:
    assert urls.normalise(given) == expected


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("/a/b", "absolute"),
        ("books.example", "absolute"),
        ("", "absolute"),
        ("http://", "absolute"),
        ("http://a b/", "absolute"),
        ("http://a:99999/", "absolute"),
        ("http://a\u00ad%00/", "absolute"),
        ("ftp://books.example/", "http or https"),
        ("mailto:a@books.example", "http or https"),
        ("javascript:void(0)", "http or https"),
        ("file:///etc/passwd", "http or https"),
        ("http://\ud800/", "absolute"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_the_reason(url: str, said: str) -> None:
    with pytest.raises(urls.BadURL, match=said):
        urls.normalise(url)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("page-4.html", "https://user@books.example:8443/catalogue/part/page-4.html"),
        ("../other/", "https://user@books.example:8443/catalogue/other/"),
        ("../../../../top", "https://user@books.example:8443/top"),
        ("/media/a.jpg", "https://user@books.example:8443/media/a.jpg"),
        ("?sort=title", "https://user@books.example:8443/catalogue/part/page-3.html?sort=title"),
        ("", BASE),
        ("#reviews", BASE),
        ("//cdn.example/x", "https://cdn.example/x"),
        ("http://cdn.example:80/x#y", "http://cdn.example/x"),
        (" \n/a\tb ", "https://user@books.example:8443/ab"),
        ("a:b", None),
        ("./a:b", "https://user@books.example:8443/catalogue/part/a:b"),
        ("tel:+49", None),
    ],
)
def test_join(reference: str, expected: str | None) -> None:
    assert _ours(BASE, reference) == expected


@pytest.mark.parametrize(
    ("reference", "encoding", "expected"),
    [
        ("/ä?q=ä#ä", "windows-1252", "/%C3%A4?q=%E4"),
        ("?q=ä", "utf-8", "/?q=%C3%A4"),
        ("?q=ж", "windows-1251", "/?q=%E6"),
        ("?q=ж", "windows-1252", "/?q=%26%231078%3B"),
        ("?q=ж", "utf-16le", "/?q=%D0%B6"),
        ("?q=書", "shift_jis", "/?q=%8F%91"),
        ("?q=書", "gbk", "/?q=%95%F8"),
        ("?a=%41&b='\"<>", "gbk", "/?a=%41&b=%27%22%3C%3E"),
        ("?q=書\n&'b", "gbk", "/?q=%95%F8&%27b"),
        ("ä#a?ä", "gbk", "/%C3%A4"),
        ("?q=ä", "no-such-encoding", "/?q=%C3%A4"),
    ],
)
def test_only_the_query_follows_the_charset_of_the_page(reference: str, encoding: str, expected: str) -> None:
    assert urls.join("http://a.example/", reference, encoding) == f"http://a.example{expected}"


@given(
    st.text(max_size=20), st.sampled_from(["big5", "gbk", "gb18030", "iso-2022-jp", "euc-kr", "koi8-u", "replacement"])
)
def test_a_query_in_any_charset_ends_as_a_plain_url_or_a_refusal(text: str, encoding: str) -> None:
    try:
        url = urls.join("http://a.example/", f"?q={text}", encoding)
    except urls.BadURL:
        return
    assert url.startswith("http://a.example/?q=")
    assert urls.normalise(url) == url


@pytest.mark.parametrize(
    ("url", "host", "name"),
    [
        ("http://books.example/a", "books.example", "books.example"),
        ("http://books.example:8080/", "books.example:8080", "books.example"),
        ("https://user:p%40ss@books.example/", "books.example", "books.example"),
        ("http://[::1]/", "[::1]", "[::1]"),
        ("http://[::1]:8080/?a@b", "[::1]:8080", "[::1]"),
        ("http://a.example/x@y", "a.example", "a.example"),
    ],
)
def test_host_key_and_host_name(url: str, host: str, name: str) -> None:
    assert urls.host_key(url) == host
    assert urls.host_name(host) == name


@pytest.mark.parametrize(
    ("host", "domains", "expected"),
    [
        ("books.example", ["books.example"], True),
        ("www.books.example", ["books.example"], True),
        ("books.example:8080", ["books.example"], True),
        ("mybooks.example", ["books.example"], False),
        ("books.example", ["www.books.example"], False),
        ("books.example:8080", ["books.example:8080"], True),
        ("www.books.example:8080", ["books.example:8080"], True),
        ("books.example", ["books.example:8080"], False),
        ("books.example:9090", ["other.example", "books.example:8080"], False),
        ("[::1]:8080", ["[::1]"], True),
        ("127.0.0.1", ["127.0.0.1"], True),
        ("books.example", [], False),
        ("books.example.", ["books.example"], False),
        ("books.example.", [""], False),
    ],
)
def test_in_scope(host: str, domains: list[str], expected: bool) -> None:
    assert urls.in_scope(host, domains) is expected


def test_keys_tell_requests_apart_by_method_url_and_body() -> None:
    parts = [
        ("GET", "http://a/", b""),
        ("POST", "http://a/", b""),
        ("POST", "http://a/", b"x"),
        ("POST", "http://a/x", b""),
    ]
    parts += [("GET", "http://a/", b"x"), ("GET", "http://a/x", b""), ("HEAD", "http://a/", b"")]
    keys = {urls.hash_request(*part) for part in parts}
    assert len(keys) == len(parts)
    assert {len(key) for key in keys} == {urls.KEY_BYTES - urls.HOST_KEY_BYTES}
    assert len(urls.hash_host("a.example")) == urls.HOST_KEY_BYTES


def test_a_key_is_of_the_host_and_the_request_or_of_nothing_else() -> None:
    parts = ("a.example", "GET", "http://a.example/", b"")
    assert urls.key_of(*parts) == urls.hash_host(parts[0]) + urls.hash_request(*parts[1:])
    assert len({urls.key_of(*parts), urls.key_of(*parts, unlike=True), urls.key_of(*parts, unlike=True)}) == 3
    assert len(urls.key_of(*parts, unlike=True)) == urls.KEY_BYTES


def test_keys_are_the_same_in_every_process() -> None:
    """They are stored: a change of the hash would make every job on disk forget what it has seen."""
    assert urls.hash_host("books.example").hex() == "782b027d"
    assert urls.hash_request("GET", "http://a.example/", b"").hex() == "3a87aef1ec36efc3"
    assert urls.hash_request("POST", "http://a.example/", b"x").hex() == "7e2e209fe5fe95f9"
