"""One cookie jar per session, and what of them a job keeps from run to run.

Only what differs from what was stored is handed out for storage: a server that sets the same cookie with every page
costs nothing. A jar that has to go, because there are too many, is forgotten in the storage too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import msgspec

from crawler.errors import JobError
from crawler.fetch.cookies import Jar
from crawler.fetch.spool import in_thread
from crawler.spider import suffixes

MOST_JARS = 1_000
_STORED = "cookies"


class Jars:
    """One jar per session name; "" is the crawl's own."""

    def __init__(self) -> None:
        self._reading = asyncio.Lock()
        self._jars = self.sessions = dict[str, Jar]()
        """By session; empty, as in most crawls: there is nothing to ask."""
        self._gone: set[str] = set()
        """Names in the job's storage of jars that had to go."""
        self._changed: set[str] = set()
        """Sessions that have been told something since the last look."""

    async def ready(self) -> None:
        """Await this before `store`: what it needs is read in a thread when the first cookie comes."""
        if not suffixes.is_loaded():
            async with self._reading:
                await in_thread(suffixes.load)

    def header(self, session: str, url: str, now: float) -> str:
        """The Cookie header that this session sends to the URL, "" for none."""
        jar = self._jars.get(session)
        return jar.header(url, now) if jar is not None else ""

    def store(self, session: str, url: str, headers: Iterable[tuple[bytes, bytes]], now: float) -> None:
        """Take an answer's cookies into the session's jar."""
        lines = [value for name, value in headers if len(name) == 10 and name.lower() == b"set-cookie"]
        if lines:
            self._jar(session).store(url, lines, now)

    def _jar(self, session: str) -> Jar:
        jar = self._jars.pop(session, None) or Jar()
        self._jars[session] = jar  # most recently used last
        self._changed.add(session)
        if len(self._jars) > MOST_JARS:
            oldest = next(iter(self._jars))
            self._gone.update(_stored_name(domain, oldest) for domain in self._jars.pop(oldest).domains())
            self._changed.discard(oldest)
        return jar

    def take_changes(self) -> dict[str, bytes]:
        """What has changed since the last call, for the job's storage: name → cookies, empty bytes to forget it."""
        if not self._changed:
            return {}
        changes = dict.fromkeys(self._gone, b"")
        for session in self._changed:
            jar = self._jars[session]
            for domain in jar.changed:
                changes[_stored_name(domain, session)] = jar.encoded(domain)
            jar.changed.clear()
        self._changed.clear()
        self._gone.clear()
        return changes

    def restore(self, stored: Mapping[str, bytes]) -> None:
        """Take back what `take_changes` gave in earlier runs of the job; other names are somebody else's.

        Raises JobError for damage.
        """
        for name, data in stored.items():
            what, _, rest = name.partition(" ")
            domain, _, session = rest.partition(" ")
            if what == _STORED:
                try:
                    self._jar(session).restore(domain, data)
                except msgspec.DecodeError as bad:
                    raise JobError(f"the cookies of {domain} that the job has stored are damaged: {bad}") from None
        self._changed.clear()

    def __repr__(self) -> str:
        return f"<Jars {self._jars}>"


def _stored_name(domain: str, session: str) -> str:
    return f"{_STORED} {domain} {session}"
