"""What is refused before a crawl begins: a spider that could never run as it is written.

Each mistake is one sentence that names file and line, what is wrong and what to write. What only shows later (a
callback that a request names) is refused where it is yielded; see `callbacks.py`. Parse processes do not load this
file.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from crawler.errors import SpiderError, near_miss
from crawler.spider import blame, load
from crawler.spider.base import Spider, initial_domains, stated
from crawler.spider.callbacks import AWAITED, BadCallback, Callbacks, misfit, without_types

_NAMED = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
NEARLY = (
    ("custom_settings", ("settings",), 'settings = {"politeness.delay": 1}'),
    ("start_requests", ("start",), "async def start(self), which yields requests"),
    ("start_url", ("start_urls", "start"), "start_urls = [...]"),
    ("allowed_domain", ("allowed_domains",), "allowed_domains = [...]"),
)
"""What is easily written where none of the second is given: Scrapy's names, and a letter less; and what to write."""


class _Placed(SpiderError):
    """The message names file and line already, as far as they can be known."""


def check_class(cls: object) -> None:
    """Refuse what is no spider's class, as the argument of `crawl`. Raises SpiderError."""
    if isinstance(cls, Spider):
        name = type(cls).__qualname__
        raise SpiderError(f"a crawl takes the spider's class, not an object of it: crawl({name}), not crawl({name}())")
    if not (isinstance(cls, type) and issubclass(cls, Spider)):
        raise SpiderError(f"a crawl takes a class that inherits from crawler.Spider, not {repr(cls)[:80]}")
    if cls.__module__.startswith(f"{__package__}."):  # Spider, CrawlSpider …
        raise SpiderError(f"{cls.__qualname__} crawls nothing by itself: write a class that inherits from it")
    if not isinstance(getattr(cls, "name", None), str) or not cls.name:
        _refuse(cls, f'{cls.__qualname__} needs a name: name = "{cls.__qualname__.lower()}"')


def make_spider(cls: type[Spider], arguments: Mapping[str, Any]) -> Spider:
    """The spider with its arguments (`-a`, or keywords of `crawl`), checked as `check_spider` does.

    Raises SpiderError for arguments that its `__init__` cannot take, or that are misspelt: of no use to it, while one
    of nearly the same name is.
    """
    signature = inspect.signature(cls)
    try:
        signature.bind(**arguments)
    except TypeError as bad:
        takes = [name for name, one in signature.parameters.items() if one.kind in _NAMED]
        near = "".join(near_miss(name, takes) for name in arguments if name not in takes)
        what = f"{cls.__qualname__}{without_types(signature)}: {bad}.{near}"
        _refuse(cls, what, cls.__init__)
    for name in unread(cls, arguments):
        if near := near_miss(name, declared(cls)):
            _refuse(cls, f"{cls.__qualname__} takes no argument '{name}'.{near}")
    spider = cls(**arguments)
    check_spider(spider)
    return spider


def declared(cls: type[Spider]) -> set[str]:
    """What a spider's class says that it takes: its annotations, its plain attributes, the parameters of `__init__`."""
    names = {"start_urls", "allowed_domains", "handle_httpstatus_list", *inspect.signature(cls).parameters}
    for base in _own_bases(cls):
        plain = {name for name, value in vars(base).items() if not callable(value)}
        names |= {name for name in plain | stated(base).keys() if not hasattr(Spider, name)}
    return {name for name in names if not name.startswith("_")}


def unread(cls: type[Spider], arguments: Iterable[str]) -> list[str]:
    """Arguments that the class neither declares nor mentions anywhere in its file: nothing there can read them."""
    left = [name for name in arguments if name not in declared(cls)]
    if not left:
        return []
    files = {blame.home_of(base) for base in _own_bases(cls)}
    texts = [Path(file).read_text(errors="replace") for file in files if Path(file).is_file()]
    if not texts:  # a notebook: nothing to look at
        return []
    return [name for name in left if not any(re.search(rf"\b{re.escape(name)}\b", text) for text in texts)]


def _own_bases(cls: type[Spider]) -> list[type]:
    """The class and its bases, as far as they are the author's."""
    return [base for base in cls.__mro__ if not base.__module__.startswith("crawler.") and base is not object]


def check_spider(spider: Spider) -> None:
    """Refuse a spider that could never crawl, with the sentence its author needs. Raises SpiderError."""
    try:
        _check_all(spider)
    except _Placed:
        raise
    except SpiderError as bad:  # from the spider's own properties and methods
        _refuse(type(spider), str(bad), at=bad.where if isinstance(bad, BadCallback) else "")


def _check_all(spider: Spider) -> None:
    cls = type(spider)
    check_class(cls)
    _check_names(spider)
    for hook, arguments in AWAITED.items():
        _check_hook(spider, hook, arguments)
    _check_domains(cls, getattr(spider, "allowed_domains", None))
    _check_start(spider)
    statuses: object = spider.handle_httpstatus_list
    if isinstance(statuses, str) or not isinstance(statuses, Iterable):
        _refuse(cls, f"{cls.__qualname__}.handle_httpstatus_list is a list of numbers: [{statuses!r}]")
    for status in statuses:
        if type(status) is not int:
            _refuse(cls, f"{cls.__qualname__}.handle_httpstatus_list has {status!r}: write numbers, such as 404")
    _check_callbacks(spider)


def _check_names(spider: Spider) -> None:
    """Names that would have a meaning elsewhere, or nearly, and that nobody would read here."""
    cls = type(spider)
    for name, rights, written in NEARLY:
        given = [one for one in rights if one in vars(spider) or getattr(cls, one, None) != getattr(Spider, one, None)]
        if hasattr(spider, name) and not given:
            method = getattr(cls, name, None)
            _refuse(
                cls, f"{cls.__qualname__}.{name} is read by nobody: write {written}",
                method if inspect.isroutine(method) else None,
            )  # fmt: skip


def _check_start(spider: Spider) -> None:
    cls = type(spider)
    if isinstance(spider.start_urls, str):
        _refuse(cls, f"{cls.__qualname__}.start_urls is a string; write a list: [{spider.start_urls!r}]")
    if not isinstance(spider.start_urls, Collection):  # a generator could be read only once
        _refuse(cls, f"{cls.__qualname__}.start_urls is a {type(spider.start_urls).__name__}; write a list")
    if cls.start is not Spider.start:
        if not inspect.isasyncgenfunction(inspect.unwrap(cls.start)):
            _refuse(cls, f"{cls.__qualname__}.start must be `async def` and yield requests", cls.start)
        if problem := misfit(spider.start, ()):
            _refuse(cls, f"{cls.__qualname__}.{problem}", cls.start)
        if not hasattr(spider, "allowed_domains"):
            _refuse(
                cls,
                f"{cls.__qualname__} has its own start(), so its scope cannot be guessed: "
                "state allowed_domains (a list of domains, or None for anywhere)",
            )
    elif not spider.start_urls:
        _refuse(cls, f"{cls.__qualname__} has nothing to start from: set start_urls or write async def start()")
    for url in spider.start_urls:
        if not isinstance(url, str):
            _refuse(cls, f"{cls.__qualname__}.start_urls has {url!r}: write addresses as text")
    initial_domains(spider)


def _check_domains(cls: type[Spider], domains: object) -> None:
    if isinstance(domains, str):
        _refuse(cls, f"{cls.__qualname__}.allowed_domains is a string; write a list")
    for domain in domains if isinstance(domains, Iterable) else ():
        if "/" in str(domain):
            name = str(domain).split("//")[-1].split("/")[0]
            _refuse(cls, f"{cls.__qualname__}.allowed_domains has {domain!r}: write the host alone, {name!r}")


def _check_hook(spider: Spider, name: str, arguments: tuple[str, ...]) -> None:
    """A hook is awaited, with its arguments; what is no plain function is believed."""
    cls = type(spider)
    hook = getattr(spider, name)
    if getattr(hook, "__func__", None) is getattr(Spider, name):
        return
    said = f"{cls.__qualname__}.{name}"
    written = f"async def {name}({', '.join(('self', *arguments))})"
    if not callable(hook):
        _refuse(cls, f"{said} is {type(hook).__name__}, but that name is the hook {written}")
    inner = inspect.unwrap(hook)
    if inspect.isasyncgenfunction(inner) or inspect.isgeneratorfunction(inner):
        _refuse(cls, f"{said} must not yield: write {written}", hook)
    if inspect.isroutine(inner) and not (inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(hook)):
        _refuse(cls, f"{said} must be async: write {written}", hook)
    if problem := misfit(hook, arguments):
        _refuse(cls, f"{cls.__qualname__}.{problem}; write {written}", hook)


def _check_callbacks(spider: Spider) -> None:
    """`parse`, if the start needs it or it is there, and whatever else the class names by itself."""
    callbacks = Callbacks(spider)
    if type(spider).start is Spider.start or getattr(spider.parse, "__func__", None) is not Spider.parse:
        callbacks.find("parse", "response")
    for name, argument, keywords in spider._named_callbacks():  # noqa: SLF001
        callbacks.find(name, argument, keywords)


def _refuse(cls: type[Spider], what: str, method: Callable[..., Any] | None = None, at: str = "") -> NoReturn:
    """Raise it with the line of the method, or of the class; without one where there is no file."""
    if method is not None:
        at = blame.where_defined(method)
    place = at.partition(" in ")[0]
    if not place and (file := blame.home_of(cls)):
        line = load.class_line(Path(file), cls.__qualname__)
        place = f"{blame.short(file)}:{line}" if line else ""
    raise _Placed(f"{place}: {what}" if place else what)
