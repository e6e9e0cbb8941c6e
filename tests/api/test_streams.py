"""Live streams: logs, tasks and platform events over WebSocket and server-sent events."""
import asyncio
import contextlib
import json
import shutil
import socket
import tempfile
import threading
import time

import httpx
import pytest
import websockets

import conftest
from conftest import PLATFORM, Api, first_admin, make_org, make_user, unique
from live import SERVICE, application, ended, until


def ticket(api):
    return api.post("/ws-tickets", expect=None).json()["ticket"]


def connect(api, path, **kw):
    url = api.server.url.replace("http", "ws") + path
    return websockets.connect(url, subprotocols=["dockflow.v1", "ticket." + ticket(api)], max_size=None, **kw)


async def receive(ws, seconds=15):
    return json.loads(await asyncio.wait_for(ws.recv(), seconds))


async def collect(ws, enough, seconds=15):
    """Frames until enough(frames)."""
    frames, deadline = [], time.monotonic() + seconds
    while not enough(frames):
        frames.append(await receive(ws, max(0.1, deadline - time.monotonic())))
    return frames


def lines(frames):
    return [i["l"] for f in frames if f["type"] == "logs" for i in f["items"]]


@pytest.fixture
def talker(docker):
    """Counts: one line every 50 ms."""
    name = unique("talker")
    docker("run", "-d", "--name", name, "busybox:local", "sh", "-c",
           "trap 'exit 0' TERM; i=0; while :; do i=$((i+1)); echo line $i; [ $((i%10)) = 0 ] && echo odd $i >&2; sleep 0.05; done")
    yield name
    docker("rm", "-f", name)


@pytest.fixture
def seen(owner, talker):
    until(lambda: owner.all("/containers", name=talker))
    time.sleep(1)
    return talker


def numbers(text):
    return [int(t.split()[1]) for t in text if t.startswith("line ")]


def test_logs_tail_and_follow(owner, seen):
    async def go():
        async with connect(owner, f"/ws/v1/containers/{seen}/logs?tail=5") as ws:
            frames = await collect(ws, lambda f: len(numbers(lines(f))) >= 25)
        first = frames[0]["items"][0]
        assert set(first) >= {"s", "t", "q", "l"} and first["s"] in (1, 2)
        got = numbers(lines(frames))
        assert got == list(range(got[0], got[0] + len(got))), got
        assert {"type": "state", "state": "live"} in frames
        q = [i["q"] for f in frames if f["type"] == "logs" for i in f["items"]]
        assert q == sorted(set(q))
    asyncio.run(go())


def test_two_viewers_and_one_stream_each(owner, seen):
    async def watch(query):
        async with connect(owner, f"/ws/containers/{seen}/logs?{query}") as ws:
            return await collect(ws, lambda f: len(lines(f)) >= 12)

    async def go():
        a, b = await asyncio.gather(watch("tail=0&stderr=false"), watch("tail=0&stdout=false"))
        assert all(t.startswith("line") for t in lines(a)) and all(t.startswith("odd") for t in lines(b))
    asyncio.run(go())


class Counted:
    """The engine's socket behind one that writes down what is asked of it."""

    def __init__(self, host):
        self.folder = tempfile.mkdtemp(prefix="dfcnt-", dir="/tmp")
        self.asked, self.target = [], host.removeprefix("unix://")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.folder + "/sock")
        self.listener.listen(64)
        self.url = f"unix://{self.folder}/sock"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(self.target)
            for args in ((client, engine, True), (engine, client, False)):
                threading.Thread(target=self.pump, args=args, daemon=True).start()

    def pump(self, source, sink, note):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if note:
                    self.asked += [line.split(b" ")[1].decode() for line in data.split(b"\r\n") if line.endswith(b" HTTP/1.1")]
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR if note else socket.SHUT_WR)

    def close(self):
        self.listener.close()
        shutil.rmtree(self.folder)


def test_many_viewers_are_one_request_to_the_engine(new_server, new_database, docker, docker_host, talker):
    front = Counted(docker_host)
    try:
        server = new_server(new_database().url, {"DOCKER_HOST": front.url})
        api = first_admin(server)
        until(lambda: api.all("/containers", name=talker))

        async def watch():
            async with connect(api, f"/ws/v1/containers/{talker}/logs?tail=0") as ws:
                return await collect(ws, lambda f: len(numbers(lines(f))) >= 40)

        async def go():
            return await asyncio.gather(*(watch() for _ in range(8)))

        for frames in asyncio.run(go()):
            got = numbers(lines(frames))
            assert got == list(range(got[0], got[0] + len(got)))
        follow = [t for t in front.asked if "/logs?" in t]
        assert len(follow) == 1 and "follow=" in follow[0], follow
        assert server.stop() == 0
    finally:
        front.close()


def test_logs_resume_without_loss_or_repetition(owner, seen):
    async def go():
        async with connect(owner, f"/ws/v1/containers/{seen}/logs?tail=3&stderr=false") as ws:
            first = await collect(ws, lambda f: len(lines(f)) >= 10)
        last = first[-1]["items"][-1]["q"] if first[-1]["type"] == "logs" else [f for f in first if f["type"] == "logs"][-1]["items"][-1]["q"]
        await asyncio.sleep(1)
        async with connect(owner, f"/ws/v1/containers/{seen}/logs?after={last}&stderr=false") as ws:
            second = await collect(ws, lambda f: len(lines(f)) >= 10)
        both = numbers(lines(first)) + numbers(lines(second))
        assert both == list(range(both[0], both[0] + len(both))), both
    asyncio.run(go())


def test_logs_end_with_the_container(owner, docker, seen):
    async def go():
        async with connect(owner, f"/ws/v1/containers/{seen}/logs?tail=1") as ws:
            await receive(ws)
            docker("rm", "-f", seen)
            frames = await collect(ws, lambda f: f and f[-1]["type"] == "end")
            assert frames[-1]["reason"] == "removed"
            with pytest.raises(websockets.ConnectionClosed):
                await receive(ws)
            assert ws.close_code == 1000
    asyncio.run(go())


@contextlib.contextmanager
def printing(owner, docker, script):
    """A container that starts to print when somebody looks already."""
    name = unique("flood")
    docker("run", "-d", "--name", name, "busybox:local", "sh", "-c", f"trap 'exit 0' TERM; while [ ! -e /go ]; do sleep 0.1; done; {script}")
    try:
        until(lambda: owner.all("/containers", name=name))
        yield name
    finally:
        docker("rm", "-f", name)


def slow_socket(server):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(("127.0.0.1", server.port))
    return s


def test_a_slow_viewer_is_told_and_harms_nobody(owner, docker, live_server):
    """WS7: every line has come or is counted, in its place."""
    count = 100000
    script = f"i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo line $i {'x' * 200}; done; echo done; sleep 600"

    async def go(name):
        async with connect(owner, f"/ws/v1/containers/{name}/logs?tail=0", sock=slow_socket(live_server), read_limit=4096, max_queue=1) as slow:
            docker("exec", name, "touch", "/go")
            until(lambda: docker("logs", "--tail", "1", name) == "done", 60)
            until(lambda: owner.get("/nodes/default")["state"] == "online", 5)
            frames = await collect(slow, lambda f: any(t == "done" for t in lines(f[-1:])), 60)
        at = 1
        for f in frames:
            if f["type"] == "gap":
                assert set(f) == {"type", "dropped"} and f["dropped"] > 0
                at += f["dropped"]
            for n in numbers(lines([f])):
                assert n == at
                at += 1
        assert at == count + 1 and any(f["type"] == "gap" for f in frames)
    with printing(owner, docker, script) as name:
        asyncio.run(go(name))


def metric(owner, name):
    return next(float(row.split()[1]) for row in owner.get("/metrics").text.splitlines() if row.startswith(name + " "))


def test_a_viewer_that_stops_reading_is_closed_after_a_minute(owner, docker, live_server):
    """WS7 with its numbers: at most 1 MiB waits, memory stays, 1013 after 60 s; who reads has every line meanwhile."""
    script = f"i=0; while :; do n=0; while [ $n -lt 100 ]; do n=$((n+1)); i=$((i+1)); echo line $i {'x' * 500}; done; sleep 0.1; done"

    async def go(name):
        path, got, queued, rss = f"/ws/v1/containers/{name}/logs?tail=0", [], [], []
        before = len(live_server.events("ws.too_slow"))
        async with (connect(owner, path, sock=slow_socket(live_server), read_limit=4096, max_queue=1, ping_interval=None) as stuck,
                    connect(owner, path) as reader):
            docker("exec", name, "touch", "/go")
            deadline = time.monotonic() + 150
            while len(live_server.events("ws.too_slow")) == before:
                assert time.monotonic() < deadline
                until_next = time.monotonic() + 1
                while time.monotonic() < until_next:
                    got += numbers(lines([await receive(reader)]))
                queued.append(metric(owner, "dockflow_ws_queue_max_bytes"))
                rss.append(live_server.rss_kib())
            with pytest.raises(websockets.ConnectionClosed):
                while True:
                    await receive(stuck)
            assert stuck.close_code == 1013
        assert 256 * 1024 <= max(queued) <= 1024 * 1024
        assert got == list(range(1, len(got) + 1)) and len(got) > 10000
        assert len(rss) > 50
        if "asan" not in str(conftest.PROGRAM):  # the sanitizer keeps freed memory for a while
            assert max(rss[20:]) - rss[20] < 4096, rss
    with printing(owner, docker, script) as name:
        asyncio.run(go(name))


def test_logs_as_server_sent_events(owner, seen):
    def read(n, **headers):
        found = []
        with owner.http.stream("GET", f"/api/v1/containers/{seen}/logs?tail=2&stderr=false", headers={"accept": "text/event-stream", **headers}) as r:
            assert r.headers["content-type"].startswith("text/event-stream")
            event = {}
            for line in map(str.rstrip, r.iter_lines()):
                if not line and event:
                    if event.get("event") == "logs":
                        found.append(event)
                    event = {}
                    if sum(len(json.loads(e["data"])["items"]) for e in found) >= n:
                        return found
                elif ": " in line and not line.startswith(":"):
                    k, _, v = line.partition(": ")
                    event[k] = v
    first = read(8)
    second = read(8, **{"last-event-id": first[-1]["id"]})
    both = [int(i["l"].split()[1]) for e in first + second for i in json.loads(e["data"])["items"]]
    assert both == list(range(both[0], both[0] + len(both))), both
    assert owner.call("HEAD", f"/containers/{seen}/logs", headers={"accept": "text/event-stream"}).status_code == 200


def test_who_may_read_logs(owner, seen, live_server):
    stranger = make_user(owner, ("admin", make_org(owner)["org"]["id"]))
    viewer = make_user(owner, ("viewer", PLATFORM))

    async def status(api, **kw):
        try:
            async with connect(api, f"/ws/v1/containers/{seen}/logs", **kw):
                return 101
        except websockets.InvalidStatusCode as e:
            return e.status_code

    async def without():
        try:
            async with websockets.connect(live_server.url.replace("http", "ws") + f"/ws/v1/containers/{seen}/logs"):
                return 101
        except websockets.InvalidStatusCode as e:
            return e.status_code

    async def go():
        assert await status(stranger) == 404 and await status(viewer) == 403 and await status(owner) == 101
        assert await without() in (401, 403)
        t = ticket(owner)
        url = live_server.url.replace("http", "ws") + f"/ws/v1/containers/{seen}/logs"
        async with websockets.connect(url, subprotocols=["dockflow.v1", "ticket." + t]) as ws:
            assert ws.subprotocol == "dockflow.v1"
        with pytest.raises(websockets.InvalidStatusCode):  # once
            async with websockets.connect(url, subprotocols=["dockflow.v1", "ticket." + t]):
                pass
    asyncio.run(go())


def test_a_right_that_goes_ends_the_stream(owner, seen):
    reader = make_user(owner)
    binding = owner.make("/role-bindings", {"subjectKind": "user", "subjectId": reader.user["id"], "role": "operator", "scopeId": PLATFORM})
    time.sleep(0.2)

    async def go():
        async with connect(reader, f"/ws/v1/containers/{seen}/logs?tail=1") as ws:
            await receive(ws)
            begin = time.monotonic()
            owner.delete(f"/role-bindings/{binding['id']}", expect=204)
            with pytest.raises(websockets.ConnectionClosed):
                while True:
                    await receive(ws, 5)
            assert ws.close_code == 4403 and time.monotonic() - begin < 2
    asyncio.run(go())


# ---- events -----------------------------------------------------------------------------------------

async def subscribe(ws, id_="s1", topics=("*",), **more):
    await ws.send(json.dumps({"type": "subscribe", "id": id_, "topics": list(topics), **more}))
    frames = await collect(ws, lambda f: f and f[-1]["type"] in ("subscribed", "error"))
    return frames[-1]


def test_events_of_a_deployment(owner, make_app):
    app, sha = make_app()
    application(owner, app, sync="OutOfSync")

    async def go():
        async with connect(owner, "/ws/v1/events") as ws:
            ok = await subscribe(ws, "a", ["application.*", "deployment.*", "task.status"])
            assert ok["type"] == "subscribed" and ok["id"] == "a" and isinstance(ok["seq"], int)
            await subscribe(ws, "b", ["container.status"])
            key = owner.post(f"/applications/{app['id']}/sync", {}).json()["taskId"]
            # The server is shared: what other applications' schedules have failed to do is told to an owner as well.
            about = lambda f: [e for e in f if e["type"] == "event" and app["id"] in json.dumps(e)]
            done = lambda f: (any(e["topic"] == "deployment.finished" for e in f) and any(e["topic"] == "container.status" for e in f)
                              and any(e["topic"] == "task.status" and e["payload"]["state"] == "succeeded" for e in f))
            frames = await collect(ws, lambda f: done(about(f)), 30)
            others = [e["payload"] for e in frames if e["type"] == "event" and e["topic"] == "task.status" and e not in about(frames)]
            assert all(t["kind"] == "repository.poll" and t["state"] == "failed" for t in others), others
            events = about(frames)
            bus = [e for e in events if e["topic"] != "container.status"]
            assert [e["seq"] for e in bus] == sorted(e["seq"] for e in bus)
            assert all(e["sub"] == (["b"] if e["topic"] == "container.status" else ["a"]) and e["time"] for e in events)
            progress = [e["payload"] for e in events if e["topic"] == "deployment.progress"]
            assert progress[-1]["done"] == progress[-1]["total"] and progress[0]["applicationId"] == app["id"]
            tasks = [e["payload"] for e in events if e["topic"] == "task.status"]
            assert {t["id"] for t in tasks} == {key} and tasks[-1]["progress"]["total"] == 100
            container = next(e["payload"] for e in events if e["topic"] == "container.status")
            assert container["applicationId"] == app["id"] and container["name"].startswith(app["projectName"])
            status = [e["payload"] for e in events if e["topic"] == "application.status"]
            assert status and status[-1]["id"] == app["id"]
    asyncio.run(go())


def test_events_are_replayed(owner, home, make_app):
    app, _ = make_app()
    application(owner, app, sync="OutOfSync")

    async def go():
        async with connect(owner, "/ws/v1/events") as ws:
            seq = (await subscribe(ws))["seq"]
        ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
        async with connect(owner, "/ws/v1/events") as ws:
            await subscribe(ws, "r", ["deployment.*"], lastSeq=seq)
            frames = await collect(ws, lambda f: any(x.get("topic") == "deployment.finished" for x in f))
            got = [f["seq"] for f in frames if f["type"] == "event"]
            assert got == sorted(set(got)) and got[0] > seq
            assert not any(f["type"] == "gap" for f in frames)
    asyncio.run(go())


def test_events_only_of_what_one_may_see(owner, make_app):
    app, _ = make_app()
    application(owner, app, sync="OutOfSync")
    other = make_org(owner)
    stranger = make_user(owner, ("admin", other["org"]["id"]))
    member = make_user(owner, ("viewer", app["projectId"]))

    async def go():
        async with connect(stranger, "/ws/v1/events") as far, connect(member, "/ws/v1/events") as near:
            await subscribe(far, "s", ["*"])
            await subscribe(near, "s", ["*"])
            assert (await subscribe(far, "x", ["*"], scope=app["projectId"]))["code"] == "NOT_FOUND"
            ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
            await collect(near, lambda f: any(x.get("topic") == "deployment.finished" for x in f))
            seen = []
            with contextlib.suppress(asyncio.TimeoutError):
                while True:
                    seen.append(await receive(far, 1))
            assert [f for f in seen if app["id"] in json.dumps(f)] == []
            assert [f for f in seen if f.get("topic", "").startswith(("container.", "deployment.", "task."))] == []
    asyncio.run(go())


def test_scope_and_object_narrow(owner, make_app, home):
    app, _ = make_app()
    application(owner, app, sync="OutOfSync")
    other = make_org(owner)

    async def go():
        async with connect(owner, "/ws/v1/events") as ws:
            await subscribe(ws, "here", ["*"], scope=home["org"]["id"])
            await subscribe(ws, "there", ["*"], scope=other["org"]["id"])
            await subscribe(ws, "one", ["application.status"], object=app["id"])
            ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
            frames = await collect(ws, lambda f: any(x.get("topic") == "application.status" and x["payload"]["sync"]["status"] == "Synced" for x in f))
            events = [f for f in frames if f["type"] == "event"]
            assert not any(app["id"] in json.dumps(e) for e in events if "there" in e["sub"])
            assert all(e["object"]["id"] == app["id"] for e in events if "one" in e["sub"])
    asyncio.run(go())


def test_subscriptions_are_checked(owner):
    async def go():
        async with connect(owner, "/ws/v1/events") as ws:
            for i in range(64):
                assert (await subscribe(ws, f"s{i}", ["task.status"]))["type"] == "subscribed"
            assert (await subscribe(ws, "s64", ["task.status"]))["code"] == "RATE_LIMITED"
            await ws.send(json.dumps({"type": "unsubscribe", "id": "s3"}))
            assert (await subscribe(ws, "s64", ["task.status"]))["type"] == "subscribed"
            for bad in ('{"type":"subscribe"}', '{"type":"subscribe","id":"x","topics":[]}', '{"type":"subscribe","id":"x","topics":["A B"]}', "nonsense", '{"type":"dance"}',
                        '{"type":"subscribe","id":"s1","topics":["*"]}'):
                await ws.send(bad)
                frame = (await collect(ws, lambda f: f and f[-1]["type"] == "error"))[-1]
                assert frame["code"] and frame["fatal"] is False
            for _ in range(60):
                await ws.send("nonsense")
            with pytest.raises(websockets.ConnectionClosed):
                while True:
                    await receive(ws)
            assert ws.close_code == 4400
    asyncio.run(go())


def test_events_as_server_sent_events(owner, make_app):
    app, _ = make_app()
    application(owner, app, sync="OutOfSync")
    found, last = [], None
    with owner.http.stream("GET", "/api/v1/stream/events?topics=task.status,deployment.finished") as r:
        assert r.status_code == 200
        task = owner.server and Api(owner.server, owner.token).post(f"/applications/{app['id']}/sync", {})
        for line in map(str.rstrip, r.iter_lines()):
            if line.startswith("id: "):
                last = int(line[4:])
            if line.startswith("data: ") and '"deployment.finished"' in line:
                found.append(json.loads(line[6:]))
                break
    assert found[0]["payload"]["applicationId"] == app["id"] and last == found[0]["seq"]
    with owner.http.stream("GET", "/api/v1/stream/events?topics=deployment.finished", headers={"last-event-id": str(last - 1)}) as r:
        again = next(json.loads(line[6:]) for line in r.iter_lines() if line.startswith("data: "))
    assert again["seq"] == last


# ---- tasks ------------------------------------------------------------------------------------------

def test_a_task_live(owner, make_app):
    app, _ = make_app()
    application(owner, app, sync="OutOfSync")
    key = owner.post(f"/applications/{app['id']}/sync", {}).json()["taskId"]

    async def go():
        async with connect(owner, f"/ws/v1/tasks/{key}") as ws:
            frames = await collect(ws, lambda f: f and f[-1]["type"] == "end", 30)
        tasks = [f["task"] for f in frames if f["type"] == "task"]
        assert tasks[-1]["state"] == "succeeded" and tasks[-1]["id"] == key
        logs = [f for f in frames if f["type"] == "log"]
        assert logs and [f["seq"] for f in logs] == list(range(1, len(logs) + 1)) and logs[0]["text"]
        assert frames[-1] == {"type": "end", "reason": "ended"}
    asyncio.run(go())
    stored = owner.get(f"/tasks/{key}/log")["items"]
    assert stored and stored[0]["seq"] == 1 and set(stored[0]) >= {"seq", "time", "level", "text"}
    with owner.http.stream("GET", f"/api/v1/tasks/{key}/stream") as r:
        assert '"type":"end"' in "".join(r.iter_text())
    stranger = make_user(owner, ("admin", make_org(owner)["org"]["id"]))
    assert stranger.call("GET", f"/tasks/{key}").status_code == 404 and stranger.all("/tasks") == []
    assert key in [t["id"] for t in owner.all("/tasks", kind="application.sync")]
