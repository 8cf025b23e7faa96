"""Groups form by themselves while the frontier is busy; a quiet crawl never waits for one to fill."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from crawler.clock import FakeClock, settle
from crawler.engine.committer import GROUP, GROUP_LINKS, MAX_LINKS, MAX_WAITING, PART, Committer
from crawler.engine.pressure import Pressure
from crawler.engine.saves import Saves
from crawler.events import Bus, TicketEnded
from crawler.frontier.base import OK, Committed
from crawler.spider.travel import Done, Failed, Finds, Finished, Group, Outcome, Retry, Ticket


class Offered(Outcome, frozen=True):
    """Marks a part of a page in what `SlowFrontier` has seen."""

    tag: ClassVar[str] = "offered"


def finds(n: int) -> Finds:
    return Finds(
        b"".join(b"%012d" % number for number in range(n)), [msgspec.Raw(b"%d" % number) for number in range(n)]
    )


class SlowFrontier:
    """Commits one group whenever the test opens the gate."""

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.gate = asyncio.Semaphore(0)

    async def commit(self, group: Group) -> Committed:
        self.groups.append(group)
        await self.gate.acquire()
        return Committed([OK] * len(group.finished), {}, 0, 0, 0, [0] * len(group.finished))

    async def offer(self, ticket: Ticket, finds: Finds) -> Committed:
        self.groups.append(Group([Finished(ticket, Offered(), finds=finds)]))
        await self.gate.acquire()
        return Committed([OK], {}, 0, 0, 0, [0])


class Rig:
    def __init__(self) -> None:
        self.frontier = SlowFrontier()
        self.pressure = Pressure()
        self.bus = Bus()
        self.told: list[int] = []
        self.committer = Committer(
            self.frontier,  # type: ignore[arg-type]
            state_of=lambda host: host.encode() if host != "gone.example" else None,
            saves=Saves(lambda: None),
            on_committed=lambda finished, _: self._note(finished),
            pressure=self.pressure,
            clock=FakeClock(),
            bus=self.bus,
        )

    def _note(self, finished: Sequence[Finished]) -> None:
        self.told += [one.ticket.id for one in finished]

    def add(self, n: int, outcome: Outcome | None = None, host: str = "a.example", links: int = 0) -> None:
        ticket = Ticket(id=n, key=b"", host=host, url=f"https://{host}/{n}", attempt=1, referrer="https://r.example/")
        self.committer.add(Finished(ticket, outcome or Done(), finds=finds(links)))

    def seen(self) -> list[list[tuple[int, str, int]]]:
        """What the frontier was given: per act, each ticket with its outcome and its number of requests."""
        acts = [
            [(one.ticket.id, one.outcome.tag, len(one.finds)) for one in group.finished]
            for group in self.frontier.groups
        ]
        self.frontier.groups.clear()
        return acts


async def test_the_first_goes_at_once_and_the_next_group_forms_meanwhile() -> None:
    rig = Rig()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(rig.committer.run())
        rig.add(0)
        await settle()
        for n in range(1, 100):
            rig.add(n)
        await settle()
        assert [len(group.finished) for group in rig.frontier.groups] == [1]
        for _ in range(3):
            rig.frontier.gate.release()
            await settle()
        assert [len(group.finished) for group in rig.frontier.groups] == [1, GROUP, 99 - GROUP]
        assert rig.told == list(range(100))
        assert rig.committer.pending == 0
        running.cancel()


async def test_intake_is_held_while_two_groups_wait_and_freed_when_one_has_gone() -> None:
    rig = Rig()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(rig.committer.run())
        rig.add(0)
        await settle()
        for n in range(MAX_WAITING):
            assert not rig.pressure.held
            rig.add(1 + n)
        assert rig.pressure.reasons == ["commit"]
        rig.frontier.gate.release()
        await settle()
        assert not rig.pressure.held
        running.cancel()


async def test_drained_means_durable_not_only_taken() -> None:
    rig = Rig()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(rig.committer.run())
        await rig.committer.drained()
        rig.add(0)
        drained = tasks.create_task(rig.committer.drained())
        await settle()
        assert not drained.done()
        rig.frontier.gate.release()
        await settle()
        assert drained.done()
        running.cancel()


async def test_the_states_of_the_hosts_go_with_the_group() -> None:
    rig = Rig()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(rig.committer.run())
        rig.add(0)
        rig.add(1, host="gone.example")
        await settle()
        assert rig.frontier.groups[0].hosts == {"a.example": b"a.example"}
        running.cancel()


async def test_a_very_large_page_goes_in_parts_and_the_others_between_them() -> None:
    rig = Rig()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(rig.committer.run())
        rig.add(1, links=2 * PART + 5)
        await settle()
        whole = [rig.frontier.groups[0].finished[0].finds]
        assert rig.seen() == [[(1, "offered", PART)]]
        rig.add(2)
        rig.add(3, links=10)
        rig.frontier.gate.release()
        await settle()
        assert rig.seen() == [[(2, "done", 0), (3, "done", 10)]]
        rig.frontier.gate.release()
        await settle()
        whole.append(rig.frontier.groups[0].finished[0].finds)
        assert rig.seen() == [[(1, "offered", PART)]]
        assert (rig.told, rig.committer.pending) == ([2, 3], 1)
        rig.frontier.gate.release()
        await settle()
        whole.append(rig.frontier.groups[0].finished[0].finds)
        assert rig.seen() == [[(1, "done", 5)]]
        rig.frontier.gate.release()
        await settle()
        assert (rig.told, rig.committer.pending) == ([2, 3, 1], 0)
        expected = finds(2 * PART + 5)
        assert b"".join(part.keys for part in whole) == expected.keys
        assert [record for part in whole for record in part.records] == expected.records
        running.cancel()


async def test_parts_that_come_encoded_are_offered_one_by_one_before_the_rest() -> None:
    rig = Rig()
    made = finds(5)
    part = Finds(finds(PART).keys, [msgspec.Raw(msgspec.msgpack.encode(number)) for number in range(PART)])
    made.earlier = [(PART, msgspec.Raw(msgspec.msgpack.encode(part))), (7, msgspec.Raw(b"not looked at yet"))]
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(rig.committer.run())
        rig.committer.add(
            Finished(Ticket(id=1, key=b"", host="a.example", url="https://a.example/1"), Done(), finds=made)
        )
        await settle()
        assert rig.seen() == [[(1, "offered", PART)]]
        running.cancel()


async def test_groups_are_bounded_in_requests_too() -> None:
    rig = Rig()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(rig.committer.run())
        rig.add(0)
        await settle()
        for n in range(1, 6):
            rig.add(n, links=PART)
        for _ in range(3):
            rig.frontier.gate.release()
            await settle()
        assert GROUP_LINKS == 4 * PART
        assert [[n for n, _, _ in act] for act in rig.seen()] == [[0], [1, 2, 3, 4], [5]]
        running.cancel()


async def test_what_must_not_be_filtered_goes_with_the_outcome_of_its_page() -> None:
    """Its key is another one when the page is parsed again after a kill: parts would bring it in twice."""
    rig = Rig()
    made = finds(2 * PART + 5)
    made.unlike = [0, PART - 1, 2 * PART + 4]
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(rig.committer.run())
        rig.committer.add(
            Finished(Ticket(id=1, key=b"", host="a.example", url="https://a.example/1"), Done(), finds=made)
        )
        for _ in range(3):
            rig.frontier.gate.release()
        await settle()
        running.cancel()
    first, second, last = [one.finds for group in rig.frontier.groups for one in group.finished]
    assert (len(first), len(second), len(last)) == (PART - 2, PART, 5 + 2)
    assert first.unlike == second.unlike == []
    assert [bytes(last.records[number]) for number in last.unlike] == [b"0", b"%d" % (PART - 1), b"%d" % (2 * PART + 4)]
    sent = [bytes(record) for part in (first, second, last) for record in part.records]
    assert sorted(sent, key=int) == [bytes(record) for record in made.records]
    for part in (first, second, last):
        assert part.keys == b"".join(b"%012d" % int(bytes(record)) for record in part.records)


async def test_one_large_page_holds_nobody_and_a_second_one_holds_intake() -> None:
    rig = Rig()
    rig.add(1, links=MAX_LINKS - PART)
    assert not rig.pressure.held
    rig.add(2, links=PART + 1)
    assert rig.pressure.reasons == ["commit"]
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(rig.committer.run())
        await settle()
        assert rig.seen() == [[(1, "offered", PART)]]
        rig.frontier.gate.release()
        await settle()
        assert not rig.pressure.held
        assert rig.seen() == [[(2, "offered", PART)]], "of two large pages none waits for the other"
        running.cancel()


async def test_listeners_hear_of_each_end_when_it_is_durable_and_never_of_a_retry() -> None:
    rig = Rig()
    heard: list[TicketEnded] = []
    rig.bus.on(TicketEnded, heard.append)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(rig.committer.run())
        rig.add(0, Retry(5.0, "reset"))
        rig.add(1, Failed("dns", "no such host"))
        await settle()
        assert heard == []
        rig.frontier.gate.release()
        await settle()
        (event,) = heard
        assert (event.outcome, event.reason, event.detail, event.attempts) == ("failed", "dns", "no such host", 2)
        assert event.referrer == "https://r.example/"
        running.cancel()
