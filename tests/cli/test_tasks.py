"""`crawler tasks`: where each task of a running crawl stands."""

import json

from cli.test_why import LINE, SPIDER, asked, said


async def test_tasks_are_listed_with_their_chain_those_at_one_place_together(start, project):
    (project / "spiders" / "one.py").write_text(SPIDER.format(code="await asyncio.sleep(1000)"))
    made = await start("crawl", "one", "-O", "a.jsonl")
    await made.says("it begins")
    ended = await said(start, "start()", "tasks", "one")
    lines = ended.out.splitlines()
    place = lines.index("start()")
    assert any(f"spiders/one.py:{LINE} in start" in line for line in lines[place : place + 8])
    assert " x worker 00, worker 01, worker 02, …" in lines[0]
    groups = json.loads((await asked(start, "tasks", "one", "--json")).out)
    assert groups[0]["count"] == 192
