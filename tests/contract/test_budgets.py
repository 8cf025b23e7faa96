"""Budgets and robots.txt files, as every backend keeps them: exact, durable, and in the same act as the rows."""

from __future__ import annotations

import msgspec
import pytest

from crawler.config import ScopeConfig
from crawler.kinds import Drop
from crawler.spider.budgets import Budgets
from crawler.spider.request import Request, found_of
from crawler.spider.travel import Done, Finds, Finished, Group, Moved, Refused

NOW = 1_000_000.0


def finds(*urls):
    requests = [found_of(Request(f"http://{url}")) for url in urls]
    return Finds(
        b"".join(key for key, _ in requests),
        [msgspec.Raw(msgspec.msgpack.encode(found)) for _, found in requests],
    )


async def begin(build, *seeds, **limits):
    frontier = await build(budgets=Budgets(ScopeConfig(**limits)))
    await frontier.add([found_of(Request(f"http://{seed}")) for seed in seeds], b"", True)
    return frontier


async def all_tickets(frontier):
    """Lease whatever is there and hand out all of it."""
    tickets = []
    for lease in await frontier.lease(NOW, 100):
        tickets += (await frontier.peek(lease, NOW, 1000)).tickets
    return tickets


async def end(frontier, ticket, outcome=None, **more):
    return await frontier.commit(Group([Finished(ticket, outcome or Done(), **more)]))


async def test_a_host_gives_no_more_rows_than_its_budget_and_the_rest_is_counted(build):
    frontier = await begin(build, "a.example/0", pages_per_host=3)
    (ticket,) = await all_tickets(frontier)
    found = finds(*(f"a.example/{n}" for n in range(6)), "b.example/1")
    committed = await end(frontier, ticket, finds=found)
    assert (committed.added, committed.duplicates) == (3, [1])
    assert frontier.statistics().added == 4
    assert frontier.statistics().refused == {Drop.HOST_BUDGET: 3}
    assert await frontier.refusals() == [Refused(Drop.HOST_BUDGET, "a.example", "http://a.example/3", 3)]
    assert await frontier.verify() == []


async def test_a_known_request_costs_no_budget_and_a_refused_one_is_not_known(build):
    frontier = await begin(build, "a.example/0", pages_per_template=2)
    (ticket,) = await all_tickets(frontier)
    assert (await frontier.offer(ticket, finds("a.example/1", "a.example/1"))).added == 1
    again = await frontier.offer(ticket, finds("a.example/1", "a.example/2", "a.example/x"))
    assert (again.added, again.duplicates) == (1, [1])
    last = await end(frontier, ticket, finds=finds("a.example/2", "a.example/2?q", "a.example/2?q"))
    assert last.duplicates == [1]
    assert frontier.statistics().refused == {Drop.TEMPLATE_BUDGET: 2}


async def test_within_one_group_the_budget_is_shared_by_all_its_pages(build):
    frontier = await begin(build, "a.example/", "b.example/", hosts_per_domain=2)
    tickets = await all_tickets(frontier)
    group = [
        Finished(ticket, Done(), finds=finds(f"{n}.shop.example/", f"{n + 10}.shop.example/", f"{n}.shop.example/2"))
        for n, ticket in enumerate(tickets)
    ]
    committed = await frontier.commit(Group(group))
    assert committed.added == 3
    assert frontier.statistics().refused == {Drop.DOMAIN_BUDGET: 3}
    assert await frontier.verify() == []


async def test_the_start_and_where_it_redirects_to_are_let_in_and_count(build):
    frontier = await begin(build, "a.example/1", "a.example/2", pages_per_host=1)
    first, second = await all_tickets(frontier)
    key, found = found_of(Request("http://a.example/3"))
    assert (await end(frontier, first, Moved(found, key))).added == 1
    assert (await end(frontier, second, finds=finds("a.example/4"))).added == 0
    assert frontier.statistics().refused == {Drop.HOST_BUDGET: 1}


async def test_a_redirect_of_a_found_page_is_held_against_the_budget(build):
    frontier = await begin(build, "a.example/1", pages_per_host=2)
    (seed,) = await all_tickets(frontier)
    await end(frontier, seed, finds=finds("a.example/2", "b.example/1"))
    tickets = {ticket.host: ticket for ticket in await all_tickets(frontier)}
    key, found = found_of(Request("http://a.example/3"))
    committed = await end(frontier, tickets["b.example"], Moved(found, key))
    assert (committed.added, frontier.statistics().moved) == (0, 1)
    assert await frontier.verify() == []


async def test_counts_outlive_the_process_with_their_rows(build, request):
    if "memory" in request.node.name:
        pytest.skip("memory does not outlive its process")
    frontier = await begin(build, "a.example/0", pages_per_host=3)
    (ticket,) = await all_tickets(frontier)
    await end(frontier, ticket, finds=finds("a.example/1"))
    await frontier.close()
    frontier = await build(budgets=Budgets(ScopeConfig(pages_per_host=3)))
    (ticket,) = await all_tickets(frontier)
    assert (await end(frontier, ticket, finds=finds("a.example/2", "a.example/3"))).added == 1
    assert frontier.statistics().refused == {Drop.HOST_BUDGET: 1}


async def test_what_a_group_keeps_by_name_is_there_for_the_next_run_until_it_is_forgotten(build, request):
    frontier = await begin(build, "a.example/1")
    assert await frontier.kept() == {}
    kept = {f"cookies a.example {n}": bytes([n]) * n for n in range(1, 200)} | {"ü ß": b"\0\xff"}
    await frontier.commit(Group([], kept=kept))
    (ticket,) = await all_tickets(frontier)
    forget = {"cookies a.example 7": b"", "never heard of": b""}
    await frontier.commit(Group([Finished(ticket, Done())], kept=forget | {"cookies a.example 8": b"new"}))
    await frontier.close()
    if "memory" in request.node.name:
        return
    again = await build()
    del kept["cookies a.example 7"]
    assert await again.kept() == kept | {"cookies a.example 8": b"new"}


async def test_what_robots_txt_files_say_comes_with_the_lease(build):
    frontier = await begin(build, "a.example/1", "a.example/2", "b.example/1")
    leases = {lease.host: lease for lease in await frontier.lease(NOW, 10)}
    assert {lease.robots for lease in leases.values()} == {b""}
    first, second = (await frontier.peek(leases["a.example"], NOW, 10)).tickets
    said = b"\0rules\xff" * 1000
    await frontier.commit(Group([Finished(first, Done())], {"a.example": b"state"}, {"a.example": said}))
    await frontier.commit(Group([], robots={"b.example": b"other"}))
    for lease in leases.values():
        await frontier.release(lease, b"", NOW)
    again = {lease.host: lease.robots for lease in await frontier.lease(NOW, 10)}
    assert again == {"a.example": said, "b.example": b"other"}
    assert second.host == "a.example"
