"""Groups form by themselves while the frontier is busy; a quiet crawl never waits for one to fill."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from crawler.clock import FakeClock, settle
from crawler.engine.committer import GROUP, MAX_WAITING, Committer
from crawler.engine.pressure import Pressure
from crawler.events import Bus, TicketEnded
from crawler.frontier.base import OK, Committed
from crawler.spider.travel import Done, Failed, Finished, Group, Outcome, Retry, Ticket


class SlowFrontier:
    """Commits one group whenever the test opens the gate."""

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.gate = asyncio.Semaphore(0)

    async def commit(self, group: Group) -> Committed:
        self.groups.append(group)
        await self.gate.acquire()
        return Committed([OK] * len(group.finished), {}, 0, 0, 0, [0] * len(group.finished))


class Rig:
    def __init__(self) -> None:
        self.frontier = SlowFrontier()
        self.pressure = Pressure()
        self.bus = Bus()
        self.told: list[int] = []
        self.committer = Committer(
            self.frontier,  # type: ignore[arg-type]
            state_of=lambda host: host.encode() if host != "gone.example" else None,
            on_committed=lambda finished, _: self._note(finished),
            pressure=self.pressure,
            clock=FakeClock(),
            bus=self.bus,
        )

    def _note(self, finished: Sequence[Finished]) -> None:
        self.told += [one.ticket.id for one in finished]

    def add(self, n: int, outcome: Outcome | None = None, host: str = "a.example") -> None:
        ticket = Ticket(id=n, key=b"", host=host, url=f"https://{host}/{n}", attempt=1, referrer="https://r.example/")
        self.committer.add(Finished(ticket, outcome or Done()))


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
