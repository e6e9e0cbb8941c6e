"""The event feed from a number in the past on."""
import asyncio
import contextlib
import json

import psycopg2
import websockets

from conftest import PLATFORM, make_org, make_user


def feed(server, api, messages, wanted, seconds=10):
    ticket = api.post("/ws-tickets", expect=201).json()["ticket"]

    async def run():
        url = server.url.replace("http", "ws") + "/ws/v1/events"
        async with websockets.connect(url, subprotocols=["dockflow.v1", "ticket." + ticket]) as ws:
            for m in messages:
                await ws.send(json.dumps(m))
            got = []
            while not wanted(got):
                got.append(json.loads(await asyncio.wait_for(ws.recv(), seconds)))
            return got
    return asyncio.run(run())


def test_the_past_is_replayed_in_order(server, admin):
    make_org(admin)
    reader = make_user(admin, ("viewer", PLATFORM))
    got = feed(server, reader, [{"type": "subscribe", "id": "a", "topics": ["activity.*"], "lastSeq": 0}],
               lambda seen: sum(m["type"] == "event" for m in seen) >= 3)
    numbers = [m["seq"] for m in got if m["type"] == "event"]
    assert numbers == sorted(set(numbers)) and all(m["sub"] == ["a"] for m in got if m["type"] == "event")


def test_the_past_shows_only_what_one_may_see(server, admin):
    make_org(admin)
    org = make_org(admin)
    here = org["org"]["id"]
    reader = make_user(admin, ("viewer", here))
    got = feed(server, reader, [{"type": "subscribe", "id": "a", "topics": ["*"], "lastSeq": 0},
                                {"type": "subscribe", "id": "b", "topics": ["*"], "scope": PLATFORM}],
               lambda seen: any(m["type"] == "error" or m.get("id") == "b" for m in seen))
    assert all(m["type"] != "event" or m["payload"].get("actor") is None or m["object"]["id"] for m in got)
    assert server.process.poll() is None


def test_subscribing_again_and_again_to_the_past_is_bounded(server, admin):
    reader = make_user(admin, ("viewer", PLATFORM))
    storm = []
    for i in range(300):
        storm += [{"type": "subscribe", "id": "a", "topics": ["none.such"], "lastSeq": 0}, {"type": "unsubscribe", "id": "a"}]
    storm.append({"type": "subscribe", "id": "last", "topics": ["none.such"]})
    got = feed(server, reader, storm, lambda seen: any(m.get("id") == "last" for m in seen), seconds=20)
    assert sum(m["type"] == "subscribed" for m in got) >= 1
    assert server.process.poll() is None


def replaying(admin):
    return [f for f in admin.get("/debug/fibers")["items"] if f["name"] == "feed.replay"]


def test_one_connection_reads_the_past_once_at_a_time(server, db, admin):
    """WS8: whatever it asks for, and however many connections do: the database is asked for a bounded number of pages."""
    readers = [make_user(admin, ("viewer", PLATFORM)) for _ in range(3)]

    async def run():
        url = server.url.replace("http", "ws") + "/ws/v1/events"
        async with contextlib.AsyncExitStack() as stack:
            sockets = []
            for api in readers:
                for _ in range(5):
                    ticket = api.post("/ws-tickets", expect=201).json()["ticket"]
                    sockets.append(await stack.enter_async_context(
                        websockets.connect(url, subprotocols=["dockflow.v1", "ticket." + ticket])))
            with contextlib.closing(psycopg2.connect(db.url)) as locker:
                locker.cursor().execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
                for ws in sockets:
                    for i in range(100):
                        await ws.send(json.dumps({"type": "subscribe", "id": f"s{i}", "topics": ["*"], "lastSeq": 0}))
                        await ws.send(json.dumps({"type": "unsubscribe", "id": f"s{i}"}))
                    await ws.send(json.dumps({"type": "subscribe", "id": "last", "topics": ["activity.*"], "lastSeq": 0}))
                for ws in sockets:
                    while json.loads(await asyncio.wait_for(ws.recv(), 20)).get("id") != "last":
                        pass
                fibers = await asyncio.to_thread(replaying, admin)
                locker.rollback()
            for ws in sockets:  # and everybody gets his past in the end
                while json.loads(await asyncio.wait_for(ws.recv(), 20))["type"] != "event":
                    pass
            return fibers
    fibers = asyncio.run(run())
    assert len(fibers) == len(readers) * 5
    assert sum(f["waits_for"] != "semaphore" for f in fibers) <= 8
