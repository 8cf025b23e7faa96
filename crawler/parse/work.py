"""One page through one callback: `Job` in, `Answer` out. Pure of processes, sockets and time.

The same code runs in a parse process, in the main process with `parse.processes = 0`, and under `crawler parse`.
Whatever the callback does to itself (raise, exit, yield rubbish, yield for ever) becomes a value in the answer; only
what it does to its process is left to the pool. A page that fails yields nothing: its items would come a second time
when it is tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import GeneratorType
from typing import Any

import msgspec

from crawler.errors import CallbackError, CrawlerError, StopCrawl, near_miss
from crawler.spider import blame, saving
from crawler.spider.base import Spider, counting
from crawler.spider.callbacks import HOOKS, BadCallback, Callbacks
from crawler.spider.failure import FailedRequest
from crawler.spider.harvest import Harvest, Limits, StepError, TooMany, is_single, without_return
from crawler.spider.item import Encoding, encoder
from crawler.spider.refresh import refresh_of
from crawler.spider.response import Response
from crawler.spider.steps import steps_of
from crawler.spider.travel import Answer, Job, Save, Trouble, decode_details

AT_A_DESK = "`crawler parse NAME URL -c CALLBACK` runs a callback where it can be debugged"
MAX_DETAIL = 1000
"""Characters of an exception's text that are kept."""


class Setup(msgspec.Struct, frozen=True):
    """What a harvest needs to know beside the spider: the same for the whole crawl, apart from `domains`."""

    encoding: Encoding = "json"
    domains: list[str] | None = None
    """The scope at the start of the crawl; None: anywhere. `widen` adds to a copy."""
    limits: Limits = Limits()
    folder: str = ""
    """Where `response.save` keeps bodies until their pages are committed; "": nothing is committed, they are written at
    once."""
    sync: bool = False
    """Whether they must survive the plug."""
    refresh: bool = False
    """Whether a page that sends browsers on counts as a redirect."""


class Work:
    """A spider at its desk: `run` one job after another."""

    def __init__(self, spider: Spider, setup: Setup) -> None:
        self.spider = spider
        self.home = blame.home_of(type(spider))
        self._domains = None if setup.domains is None else list(setup.domains)
        self.limits = setup.limits
        self.here = Path.cwd()
        self.folder = Path(setup.folder) if setup.folder else None
        self.sync = setup.sync
        self.refresh = setup.refresh
        self._encode = encoder(setup.encoding)
        self.callbacks = Callbacks(spider)
        steps = steps_of(spider)
        self._steps = steps if steps.plain or steps.unique else None

    def widen(self, domain: str) -> None:
        """From now on this domain is in scope too."""
        if self._domains is not None and domain not in self._domains:
            self._domains.append(domain)

    def harvest(self, job: Job, domains: Sequence[str] | None) -> Harvest:
        """An empty harvest for this job, under this scope."""
        return Harvest(
            domains, self.limits, self._encode, page=job.url, depth=job.depth, steps=self._steps,
            callbacks=self.callbacks,
        )  # fmt: skip

    def run(self, job: Job) -> Answer:
        """Call the job's callback, or its errback if it carries a failure, and collect what comes. Raises nothing
        that the callback raised, except KeyboardInterrupt and other exceptions that are not `Exception`s."""
        harvest = self.harvest(job, self._domains)
        call = Call(self, job)
        with counting(job.url) as counters:
            try:
                argument = call.argument()
                if moved := call.moved(argument):
                    return answer_of(job, None, counters, moved=moved)
                harvest.come_from(argument)
                result = call.begin(argument)
                try:
                    harvest_all(harvest, result)
                except CallbackError:
                    call.note_place()
                    raise
                finally:
                    if isinstance(result, GeneratorType):
                        result.close()
            except StopCrawl as stop:
                return answer_of(job, harvest, counters, saves=call.saves, stop=stop.why)
            except (Exception, SystemExit) as error:  # noqa: BLE001  user code: whatever it raises fails its page only
                call.drop_saves()
                return answer_of(job, None, counters, trouble=call.trouble(error))
            finally:
                call.end()
        return answer_of(job, harvest, counters, saves=call.saves)


class Call:
    """One call of one callback, and what to say if it goes wrong."""

    def __init__(self, work: Work, job: Job) -> None:
        self._work = work
        self._callbacks = work.callbacks
        self._job = job
        self._details = decode_details(job.details)
        self._yielded_at = ""
        self.callback: Any = None
        self.result: Any = None
        self.saves: list[Save] = []
        """Files that the callback has asked for."""
        self._response: Response | None = None

    def argument(self) -> Response | FailedRequest:
        """What the callback is to be called with."""
        if self._job.failure is not None:
            return FailedRequest(self._job, self._job.failure)
        response = response_of(self._job, self._details.hops)
        if self._work.folder is not None:
            response.save_with(self._stage)
            self._response = response
        return response

    def _stage(self, body: bytes, target: Path) -> None:
        """A file that the callback asks for; a relative path is the crawl's, wherever callbacks have gone since."""
        work = self._work
        assert work.folder is not None  # noqa: S101  asked before this was handed out
        if len(self.saves) >= work.limits.max_items:
            raise TooMany("too-many-items", "files than parse.max_items", work.limits.max_items)
        self.saves.append(saving.stage(body, self._job.spool, work.folder, work.here / target, sync=work.sync))

    def moved(self, argument: Response | FailedRequest) -> str:
        """Where the page sends browsers on to, without a callback being asked; "": nowhere."""
        if not self._work.refresh or not isinstance(argument, Response) or not 200 <= argument.status < 300:
            return ""
        return refresh_of(argument)

    def begin(self, argument: Response | FailedRequest) -> Any:
        """Find the callback, or the errback, and call it. Raises BadCallback if there is none that could be called."""
        if isinstance(argument, FailedRequest):
            self.callback = self._callbacks.find(self._details.errback, "failure")
            self.result = self.callback(argument)
        else:
            kwargs = msgspec.msgpack.decode(self._details.kwargs)
            self.callback = self._callbacks.find(self._details.callback, "response", kwargs)
            self.result = self.callback(argument, **kwargs)
        return self.result

    def trouble(self, error: BaseException) -> Trouble:
        """The exception as a value: its kind, its text, the author's own line."""
        home = self._work.home
        if isinstance(error, StepError) and error.__cause__ is not None:
            return msgspec.structs.replace(trouble_of(error.__cause__, home), kind="step-error")
        if isinstance(error, CallbackError):
            kind = error.kind if isinstance(error, TooMany) else "bad-yield"
            where = self._yielded_at or blame.own_line(error, home) or blame.where_defined(self.callback)
            return Trouble(kind, str(error), where)
        if isinstance(error, BadCallback):
            return Trouble("callback-error", str(error), error.where)
        return trouble_of(error, home)

    def drop_saves(self) -> None:
        """The page has failed: nothing of it is kept."""
        for save in self.saves:
            saving.drop(save)

    def end(self) -> None:
        """The callback has ended: what is saved from now on, by somebody who kept the response, no commit waits for."""
        if self._response is not None:
            self._response.save_with(None)

    def note_place(self) -> None:
        """Remember where the callback stands, while its generator is still suspended there."""
        self._yielded_at = blame.where_yielded(self.result)


def trouble_of(error: BaseException, home: str) -> Trouble:
    """Any exception as a value."""
    where = blame.own_line(error, home) if isinstance(error, CrawlerError) else blame.where_raised(error, home)
    if isinstance(error, MemoryError):
        # Its frames hold what filled the memory: let go of them before anything else is built.
        error.__traceback__ = None
        return Trouble("parse-memory", "MemoryError", where)
    if isinstance(error, CrawlerError):
        return Trouble("callback-error", _sentence(error), where)
    return Trouble("callback-error", _sentence(error), where, blame.own_traceback(error, home))


def _sentence(error: BaseException) -> str:
    name = type(error).__name__
    try:
        text = str(error)[:MAX_DETAIL]
    except Exception:  # noqa: BLE001  a broken __str__ of the user's must not hide the error itself
        text = "(its text cannot be had)"
    if isinstance(error, SystemExit):
        return f"the callback called sys.exit({text})"
    if name == "BdbQuit":
        return f"the debugger was left, or found no terminal: {AT_A_DESK}"
    return f"{name}: {text}{_hint(error, text)}" if text else name


_META = "Request.__init__() got an unexpected keyword argument 'meta'"


def _hint(error: BaseException, text: str) -> str:
    """What its author may have forgotten."""
    if isinstance(error, AttributeError | TypeError) and "'coroutine' object" in text:
        return "; did you forget await? Only an async def callback can"
    if isinstance(error, TypeError) and "'async_generator' object" in text:
        return "; loop over it with async for, in an async def callback"
    if isinstance(error, TypeError) and text == _META:
        return "; what the callback needs to know goes into cb_kwargs"
    if isinstance(error, AttributeError) and isinstance(error.obj, Spider):
        known = (name for name in dir(error.obj) if not name.startswith("_") and name not in HOOKS)
        near = near_miss(error.name or "", known)
        return near and f".{near}"
    return ""


def answer_of(
    job: Job,
    harvest: Harvest | None,
    counters: dict[str, float],
    *,
    trouble: Trouble | None = None,
    stop: str | None = None,
    saves: Sequence[Save] = (),
    moved: str = "",
) -> Answer:
    """The answer to a job; without a harvest it carries nothing but what was counted."""
    if harvest is None:
        return Answer(job.serial, counters=counters, trouble=trouble, stop=stop, moved=moved)
    return Answer(
        job.serial,
        items=harvest.items,
        item_keys=harvest.item_keys,
        finds=harvest.finds,
        refused=harvest.refused,
        counters=counters,
        trouble=trouble,
        stop=stop,
        saves=list(saves),
    )


def response_of(job: Job, hops: tuple[str, ...]) -> Response:
    """The page as a callback sees it. Blocks while a large body is read from its file."""
    if job.spool is not None and not job.body:
        job.body = Path(job.spool.path).read_bytes()
    return Response(
        url=job.url,
        status=job.status,
        headers=job.headers,
        body=job.body,
        details=job.details,
        priority=job.priority,
        depth=job.depth,
        flags=job.flags,
        hops=hops,
        referrer=job.referrer,
    )


def harvest_all(harvest: Harvest, result: Any) -> None:
    """Take what a callback returned: nothing, one thing, or an iterable of things."""
    if is_single(result):
        harvest.take(result)
        return
    take = harvest.take
    if isinstance(result, GeneratorType):
        result = without_return(result)
    for thing in result:
        take(thing)
