"""Any sequence of acts, with the process killed between any two steps, gives what a plain model says."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from crawler.frontier.memory import MemoryFrontier
from crawler.frontier.sqlite import SqliteFrontier
from crawler.output.sinks.choose import open_sink
from crawler.spider.request import Request, found_of
from crawler.spider.travel import (
    Done,
    Dropped,
    Failed,
    Finds,
    Finished,
    Group,
    Moved,
    Refused,
    Retry,
)

HOSTS = ["a.example", "b.example", "c.example:81"]
requests = st.tuples(st.sampled_from(HOSTS), st.integers(0, 30), st.sampled_from([0, 0, 0, 1, -1]))
many_requests = st.lists(requests, max_size=12)
outcomes = st.sampled_from(["done", "done", "moved", "exempt", "retry", "failed", "dropped"])
ends = st.lists(st.tuples(st.integers(0, 100), outcomes, many_requests, st.integers(0, 3)), min_size=1, max_size=5)


def keyed(request):
    host, number, priority = request
    return found_of(Request(f"http://{host}/{number}", priority=priority))


def finds(wanted):
    pairs = [keyed(one) for one in wanted]
    return Finds(
        b"".join(key for key, _ in pairs),
        [msgspec.Raw(msgspec.msgpack.encode(found)) for _, found in pairs],
    )


@dataclass
class Row:
    id: int
    host: str
    url: str
    priority: int
    depth: int
    referrer: str
    attempt: int = 0
    at: float = 0.0
    handed: bool = False


@dataclass
class Model:
    """The contract as plainly as it can be said."""

    now: float = 1_000_000.0
    added: int = 0
    duplicates: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("done", "moved", "failed", "dropped"), 0))
    known: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)
    rows: dict[int, Row] = field(default_factory=dict)
    ended: dict[int, tuple[Row, str]] = field(default_factory=dict)
    items: list[int] = field(default_factory=list)
    states: dict[str, bytes] = field(default_factory=dict)
    refused: int = 0
    deaths: dict[int, int] = field(default_factory=dict)
    sends: dict[str, float] = field(default_factory=dict)
    cursor: bytes = b""

    def insert(self, request, depth, referrer, *, exempt=False):
        host, number, priority = request
        url = f"http://{host}/{number}"
        if url in self.known and not exempt:
            self.duplicates += 1
            return
        self.known.add(url)
        self.hosts.add(host)
        self.added += 1
        self.rows[self.added] = Row(self.added, host, url, priority, depth, referrer)

    def ready(self, host):
        rows = [row for row in self.rows.values() if row.host == host and not row.handed and row.at <= self.now]
        return sorted(rows, key=lambda row: (-row.priority, row.id))

    def finish(self, number, outcome, target, wanted, items):
        row = self.rows[number]
        self.deaths.pop(number, None)  # it has come to an outcome without killing anybody
        if outcome == "retry":
            row.attempt += 1
            row.at = self.now + 2.5
            row.handed = False
        else:
            del self.rows[number]
            self.counts["moved" if outcome == "exempt" else outcome] += 1
        if outcome in ("failed", "dropped"):
            self.ended[number] = (row, outcome)
        if outcome in ("moved", "exempt"):
            self.insert(target, row.depth, row.referrer, exempt=outcome == "exempt")
        for one in wanted:
            self.insert(one, row.depth + 1, row.url)
        self.items += items
        self.refused += 1

    def copy(self):
        return msgspec.msgpack.decode(msgspec.msgpack.encode(self), type=Model)


class Machine(RuleBasedStateMachine):
    """Drives a backend and the model side by side."""

    durable = False

    @initialize(
        window=st.integers(1, 4), widest=st.integers(1, 4), known=st.sampled_from([2, 10, 1000]), power=st.booleans()
    )
    def begin(self, window, widest, known, power):
        self.options = {
            "window": window,
            "widest": widest,
            "known": known,
            "durability": "power" if power else "process",
        }
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.model = Model()
        self.serial = 0
        self.snapshot = None
        self.start()

    def start(self):
        """Open a frontier in the present folder; nothing is leased."""
        sink = open_sink(self.folder / "items.jsonl")
        if self.durable:
            self.frontier = SqliteFrontier(self.folder, [Spy(self, sink)], wal_limit=30_000, **self.options)
        else:
            self.frontier = MemoryFrontier([sink])
        self.run(self.frontier.open())
        self.leases = {}
        self.tickets = {}
        self.stale = []
        self.sent = {}
        self.released = {}

    def run(self, awaitable):
        async def wait():
            return await awaitable

        return self.runner.run(wait())

    def teardown(self):
        if hasattr(self, "runner"):
            self.run(self.frontier.close())
            self.runner.close()
            shutil.rmtree(self.folder)

    def flush(self):
        """Any act makes releases durable."""
        self.model.states |= self.released
        self.released = {}

    def committed(self, answer):
        assert answer.unfinished == len(self.model.rows)
        assert answer.idle_hosts == len(self.idle())
        return answer

    def idle(self):
        return {row.host for row in self.model.rows.values()} - self.leases.keys()

    # ---- acts ----

    @rule(wanted=many_requests)
    def add(self, wanted):
        self.do_add(wanted)

    def do_add(self, wanted):
        before = self.model.added
        self.flush()
        for one in wanted:
            self.model.insert(one, 0, "")
        self.model.cursor = b"%d" % len(wanted)
        answer = self.committed(self.run(self.frontier.add([keyed(one) for one in wanted], self.model.cursor, False)))
        assert answer.added == self.model.added - before
        assert answer.duplicates == [len(wanted) - answer.added]

    @rule(n=st.integers(1, 3))
    def lease(self, n):
        self.do_lease(n)

    def do_lease(self, n):
        idle = self.idle()
        leases = self.run(self.frontier.lease(self.model.now, n))
        self.flush()
        assert len(leases) == min(n, len(idle))
        assert {one.host for one in leases} <= idle
        for one in leases:
            self.leases[one.host] = one
            assert one.state == self.model.states.get(one.host, b"")
            if self.durable:
                assert one.last_sent == self.model.sends.get(one.host, 0.0)
            dues = [row.at for row in self.model.rows.values() if row.host == one.host]
            assert one.next_due == min(dues)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), k=st.integers(1, 6))
    def peek(self, data, k):
        self.do_peek(data.draw(st.sampled_from(sorted(self.leases))), k)

    def do_peek(self, host, k):
        lease = self.leases[host]
        peeked = self.run(self.frontier.peek(lease, self.model.now, k))
        ready = self.model.ready(lease.host)
        assert [ticket.id for ticket in peeked.tickets] == [row.id for row in ready[:k]]
        for ticket, row in zip(peeked.tickets, ready, strict=False):
            told = (ticket.url, ticket.priority, ticket.depth, ticket.attempt, ticket.referrer)
            assert told == (row.url, row.priority, row.depth, row.attempt, row.referrer)
            row.handed = True
            self.tickets[ticket.id] = ticket
        assert peeked.more >= (len(ready) > k)
        if not peeked.more:
            later = [row.at for row in self.model.rows.values() if row.host == lease.host and not row.handed]
            assert peeked.next_due == min(later, default=None)

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def send(self, data):
        ticket = self.tickets[data.draw(st.sampled_from(sorted(self.tickets)))]
        self.frontier.sent(ticket, self.model.now, alone=False)
        self.sent[ticket.id] = (ticket.host, self.model.now)

    @precondition(lambda self: self.tickets)
    @rule(ends=ends)
    def commit(self, ends):
        self.do_commit(ends)

    @rule(host=st.sampled_from(HOSTS), n=st.integers(1, 12), priority=st.integers(1, 3), k=st.integers(1, 20))
    def overtake(self, host, n, priority, k):
        """A page asks for what is more urgent than its neighbours, which are under way: a window moves back."""
        numbers = range(self.serial + 100, self.serial + 103)
        self.do_add([(host, number, 0) for number in numbers])
        self.do_lease(len(HOSTS))
        self.do_peek(host, 3)
        under_way = [number for number in sorted(self.tickets) if self.tickets[number].host == host]
        urgent = [(host, number, priority) for number in range(numbers.stop, numbers.stop + n)]
        self.do_commit([(sorted(self.tickets).index(under_way[0]), "done", urgent, 1)])
        self.do_peek(host, k)

    def do_commit(self, ends):
        group, effects = Group([]), []
        left = dict(self.tickets)
        for choice, outcome, wanted, items in ends:
            if not left:
                break
            number = sorted(left)[choice % len(left)]
            ticket = left.pop(number)
            target = (ticket.host, choice, 0)
            kinds = {
                "done": Done(),
                "moved": Moved(*reversed(keyed(target))),
                "exempt": Moved(*reversed(keyed(target)), exempt=True),
                "retry": Retry(self.model.now + 2.5, "reset"),
                "failed": Failed("dns", "no such name"),
                "dropped": Dropped("robots"),
            }
            self.serial += 10
            made = list(range(self.serial, self.serial + items))
            refused = [Refused("offsite", "x.example", "http://x.example/")]
            group.finished.append(
                Finished(ticket, kinds[outcome], [b"%d" % n for n in made], finds=finds(wanted), refused=refused)
            )
            group.hosts[ticket.host] = b"state %d" % self.serial
            effects.append((number, outcome, target, wanted, made))
        if self.stale:
            group.finished.append(Finished(self.stale[-1], Done(), [b"-1"], finds=finds([("a.example", 99, 0)])))
        before = self.model.added
        self.flush()
        for effect in effects:
            self.model.finish(*effect)
        self.model.states |= group.hosts
        self.tickets = left
        for number, *_ in effects:
            self.sent.pop(number, None)
        answer = self.committed(self.run(self.frontier.commit(group)))
        assert answer.verdicts == ["ok"] * len(effects) + ["fenced"] * bool(self.stale)
        assert answer.added == self.model.added - before
        for host in answer.due:
            assert host in self.leases

    @precondition(lambda self: self.tickets)
    @rule(data=st.data(), wanted=many_requests)
    def offer(self, data, wanted):
        ticket = self.tickets[data.draw(st.sampled_from(sorted(self.tickets)))]
        self.flush()
        for one in wanted:
            self.model.insert(one, ticket.depth + 1, ticket.url)
        self.committed(self.run(self.frontier.offer(ticket, finds(wanted))))

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), delay=st.sampled_from([-1.0, 0.0, 4.0]))
    def release(self, data, delay):
        host = data.draw(st.sampled_from(sorted(self.leases)))
        self.serial += 1
        state = b"released %d" % self.serial
        self.run(self.frontier.release(self.leases.pop(host), state, self.model.now + delay))
        self.released[host] = state
        for number in [number for number, ticket in self.tickets.items() if ticket.host == host]:
            self.stale.append(self.tickets.pop(number))
            self.sent.pop(number, None)
            self.model.rows[number].handed = False

    @rule()
    def reopen(self):
        failed = {number: row for number, (row, outcome) in self.model.ended.items() if outcome == "failed"}
        assert self.run(self.frontier.reopen()) == len(failed)
        if self.model.ended:
            self.flush()
        self.model.counts["failed"] -= len(failed)
        for number, row in failed.items():
            del self.model.ended[number]
            row.attempt, row.at, row.handed = 0, 0.0, False
            self.model.rows[number] = row

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 10.0]))
    def wait(self, seconds):
        self.model.now += seconds

    # ---- ends of a process ----

    @precondition(lambda self: self.durable)
    @rule()
    def stop(self):
        """In order: what was in flight counts no attempt."""
        self.run(self.frontier.close())
        self.flush()
        for host, at in self.sent.values():
            self.model.sends[host] = max(at, self.model.sends.get(host, 0.0))
        self.nothing_is_leased()
        self.start()

    @precondition(lambda self: self.durable)
    @rule()
    def crash(self):
        # In the writer's thread, which empties the log: files copied before and after that would lack what was in it.
        self.become(self.run(self.frontier._ask(self.take_snapshot)), self.model)

    @precondition(lambda self: self.durable and self.tickets)
    @rule(point=st.sampled_from(["written", "kept"]), ends=ends)
    def crash_in_commit(self, point, ends):
        before = self.model.copy(), dict(self.sent)
        self.snapshot_at, self.snapshot = point, None
        self.do_commit(ends)
        self.snapshot_at = None
        if self.snapshot is None:  # a group without items touches no sink
            self.snapshot = self.run(self.frontier._ask(self.take_snapshot))
        elif point == "written":
            self.model, self.sent = before
        else:  # the outcomes are stored, and the board has not been cleared yet
            for host, at in before[1].values():
                self.model.sends[host] = max(at, self.model.sends.get(host, 0.0))
        self.become(self.snapshot, self.model)

    snapshot_at = None

    def take_snapshot(self):
        """The folder as a kill would leave it now."""
        copy = Path(tempfile.mkdtemp())
        for file in self.folder.iterdir():
            if not file.name.endswith("-shm"):
                shutil.copy(file, copy / file.name)
        return copy

    def become(self, folder, model):
        self.run(self.frontier.close())
        shutil.rmtree(self.folder)
        self.folder, self.model = folder, model
        for number, (host, at) in self.sent.items():
            model.sends[host] = max(at, model.sends.get(host, 0.0))
            model.deaths[number] = model.deaths.get(number, 0) + 1
        self.nothing_is_leased()
        self.start()

    def nothing_is_leased(self):
        for row in self.model.rows.values():
            row.handed = False

    # ---- what must hold at any time ----

    @invariant()
    def counts_agree(self):
        if not hasattr(self, "frontier"):
            return
        known, model = self.frontier.statistics(), self.model
        assert (known.done, known.moved, known.failed, known.dropped) == tuple(model.counts.values())
        assert (known.added, known.unfinished, known.in_flight) == (model.added, len(model.rows), len(self.tickets))
        assert (known.items, known.duplicates) == (len(model.items), model.duplicates)
        assert (known.hosts, known.leased, known.idle_hosts) == (
            len(model.hosts),
            len(self.leases),
            len(self.idle()),
        )
        assert known.refused == ({"offsite": model.refused} if model.refused else {})
        assert self.frontier.cursor == model.cursor
        assert self.frontier.check() == []

    @invariant()
    def what_is_stored_agrees(self):
        if not hasattr(self, "frontier"):
            return
        assert self.run(self.frontier.verify()) == []
        assert [json.loads(line) for line in (self.folder / "items.jsonl").read_text().split()] == self.model.items
        told = self.run(self.frontier.ended())
        assert [(one.id, one.url, one.outcome, one.attempts, one.referrer) for one in told] == [
            (number, row.url, outcome, row.attempt + 1, row.referrer)
            for number, (row, outcome) in sorted(self.model.ended.items())
        ]
        if self.durable:
            assert {number: deaths.count for number, deaths in self.frontier.suspects.items()} == self.model.deaths


class DurableMachine(Machine):
    durable = True


class Spy:
    """A sink that takes the snapshot at the moment a kill would come."""

    blocking = True

    def __init__(self, machine, sink):
        self.machine = machine
        self.sink = sink
        self.encoding = "json"

    def __getattr__(self, name):
        return getattr(self.sink, name)

    def append(self, items):
        self.sink.append(items)
        self.look("written")

    def kept(self):
        self.sink.kept()
        self.look("kept")

    def look(self, point):
        if self.machine.snapshot_at == point and self.machine.snapshot is None:
            self.machine.snapshot = self.machine.take_snapshot()


both = settings(deadline=None, suppress_health_check=list(HealthCheck))
TestMemory = Machine.TestCase
TestMemory.settings = settings(both, max_examples=30, stateful_step_count=30)
TestSqlite = DurableMachine.TestCase
TestSqlite.settings = settings(both, max_examples=60, stateful_step_count=30)
