"""The documentation walker's callback on small pages."""

import pytest
from support.site import Site, links

import crawler
from crawler import Request, Response
from crawler.errors import UsageError
from spiders.docs import Docs, Page, folder

HTML = [(b"Content-Type", b"text/html; charset=utf-8")]
START = "https://docs.example/guide/index.html"
BODY = """<!DOCTYPE html><html><head><title> The
  guide </title><style>p { color: red }</style></head>
<body>Top <h1>First <code>step</code>s<a class="headerlink" href="#first">¶</a></h1>
<p>Some   text.<script>not("text")</script></p>
<h2>C#</h2>
<a href="two.html#part">two</a> <a href="two.html">again</a> <a href="../other/">elsewhere</a>
<a href="deep/three.html?v=1">three</a> <a href="guide.zip">all</a> <a href="https://docs.example/guidebook">no</a>
<a href="http://docs.example/guide/plain.html">plain</a> <a href="https://other.example/guide/x.html">far</a>
<a href="mailto:a@docs.example">mail</a> <a name="anchor">no link</a></body></html>"""


def parse(url=START, body=BODY, headers=HTML, **arguments):
    return list(Docs(start=START).parse(Response(url=url, headers=headers, body=body.encode()), **arguments))


def test_a_page_becomes_an_item():
    page = parse()[0]
    text = "Top First steps¶ Some text. C# two again elsewhere three all no plain far mail no link"
    assert page == Page(url=START, title="The guide", headings=["First steps", "C#"], links=10, text_length=len(text))


def test_links_are_followed_below_the_start_pages_folder_only_and_downloads_are_left():
    requests = [found for found in parse() if isinstance(found, Request)]
    assert {request.url for request in requests} == {
        "https://docs.example/guide/index.html",
        "https://docs.example/guide/two.html",
        "https://docs.example/guide/deep/three.html?v=1",
    }
    assert {request.callback for request in requests} == {"parse"}


def test_the_folder_is_handed_on_and_a_deeper_page_does_not_narrow_it():
    deep = "https://docs.example/guide/deep/three.html"
    found = parse(url=deep, body='<a href="../two.html">up</a>', root="https://docs.example/guide/")
    assert [request.url for request in found[1:]] == ["https://docs.example/guide/two.html"]
    assert found[1].cb_kwargs == {"root": "https://docs.example/guide/"}


def test_a_start_that_was_redirected_sets_the_folder_where_it_arrived():
    found = parse(url="https://www.docs.example/en/latest/", body='<a href="two.html">two</a> <a href="/">home</a>')
    assert [request.url for request in found[1:]] == ["https://www.docs.example/en/latest/two.html"]


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("https://docs.example/guide/data", [(b"Content-Type", b"application/pdf")]),
        ("https://docs.example/guide/data", []),
        ("https://docs.example/elsewhere/", HTML),
    ],
    ids=["not HTML", "of no type", "redirected out of the folder"],
)
def test_what_is_no_page_of_the_documentation_yields_nothing(url, headers):
    assert parse(url=url, headers=headers, root="https://docs.example/guide/") == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/", "https://a.example/"),
        ("https://a.example/x", "https://a.example/"),
        ("https://a.example/x/", "https://a.example/x/"),
        ("https://a.example/x/y.html?back=/z/", "https://a.example/x/"),
    ],
)
def test_the_folder_of_an_address(url, expected):
    assert folder(url) == expected


def test_without_a_start_it_says_how_to_give_one():
    with pytest.raises(UsageError, match=r"crawler crawl docs -a start=https://"):
        Docs()


@pytest.fixture
async def site():
    made = Site()
    await made.open()
    yield made
    await made.close()


async def test_the_crawl_stays_below_the_start_and_yields_each_page_once(site):
    site.pages |= {
        "/guide/": links("one.html", "two.html", "/", "notes.txt", "gone.html"),
        "/guide/one.html": links("two.html", "deep/three.html", "./#top"),
        "/guide/two.html": links("one.html#part", "/other/"),
        "/guide/deep/three.html": links("../", "../one.html"),
    }
    settings = {"politeness.delay": 0, "parse.processes": 1}
    result = await crawler.crawl(Docs, start=f"{site.url}/guide/", settings=settings)
    expected = ["/guide/", "/guide/deep/three.html", "/guide/one.html", "/guide/two.html"]
    assert sorted(item["url"].removeprefix(site.url) for item in result.items) == expected
    assert site.seen == dict.fromkeys([*expected, "/guide/gone.html", "/robots.txt"], 1)
