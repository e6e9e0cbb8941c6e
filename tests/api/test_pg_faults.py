"""The server while its PostgreSQL is away, refuses, lies still, is full, or loses its connections (PG1, PG2, PG4-PG7)."""
import asyncio
import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time

import httpx
import pytest
import websockets

from conftest import PROGRAM, ROOT, Api, code, enter, first_admin, unique
from live import until
from pgcluster import Cluster, Proxy, as_postgres

SLOW = True  # a process of its own begins with it


@pytest.fixture
def cluster():
    made = Cluster()
    yield made
    made.remove()


@pytest.fixture
def serve(new_server):
    """A server on a cluster, gone before the cluster is."""
    made = []

    def start(url, wait="ready", **settings):
        made.append(new_server(url, {"DOCKFLOW_METRICS_PUBLIC": "true", **settings}, wait=wait))
        made[-1].tampered = True
        return made[-1]

    yield start
    for server in made:
        if server.process.poll() is None:
            assert server.stop() == 0, server.log()[-3000:]


def health(server):
    r = httpx.get(server.url + "/health/ready", timeout=10)
    return r.status_code, r.json()


def not_ready(server, words, seconds=30):
    """503 with a reason that anybody may read, while the process answers."""
    status, body = until(lambda: (h := health(server))[0] == 503 and h[1].get("detail") == words and h, seconds, what=f"503: {words}; now {health(server)}")
    assert body["reason"] == "database" and server.process.poll() is None
    assert httpx.get(server.url + "/health/live").status_code == 200
    r = httpx.post(server.url + "/api/v1/auth/login", json={"username": "a", "password": "b"}, timeout=30)
    assert (r.status_code, code(r)) == (503, "DATABASE_UNAVAILABLE") and int(r.headers["retry-after"]) > 0
    return body


def metrics(server):
    """Every sample without labels, and buckets by their bound."""
    found = {}
    for line in httpx.get(server.url + "/metrics", timeout=10).text.splitlines():
        if m := re.fullmatch(r'(\w+)(?:\{le="([^"]+)"\})? (\S+)', line):
            found[(m[1], m[2]) if m[2] else m[1]] = float(m[3])
    return found


@contextlib.contextmanager
def loop_turns(server):
    """The loop was never held up: no turn over 50 ms but those the machine itself took away, and nothing like a wait for a server."""
    name = "dockflow_loop_lag_seconds"
    before = metrics(server)
    yield
    after = metrics(server)
    turns = {le: after[(name + "_bucket", le)] - before[(name + "_bucket", le)] for le in ("0.05", "0.5", "+Inf")}
    assert turns["+Inf"] > 20
    assert turns["+Inf"] - turns["0.05"] <= max(2, turns["+Inf"] / 1000), turns
    assert turns["0.5"] == turns["+Inf"], turns


def keyed(api, path, body, key, patience=60):
    """As a careful client: the same request with the same key until it is answered."""
    deadline = time.monotonic() + patience
    statuses = []
    while True:
        with contextlib.suppress(httpx.TransportError):
            r = api.call("POST", path, json=body, headers={"Idempotency-Key": key})
            statuses.append(r.status_code)
            if r.status_code < 500 and not (r.status_code == 409 and "Idempotency-Key" in r.text):
                return r, statuses
            if r.status_code >= 500:
                assert code(r) in ("DATABASE_UNAVAILABLE", "AUDIT_UNAVAILABLE"), r.text
        assert time.monotonic() < deadline, statuses
        time.sleep(0.02)


# ---- PG1: at the start ----------------------------------------------------------------------------


def test_start_while_it_is_down(cluster, serve):
    cluster.stop()
    server = serve(cluster.url, wait="live", DOCKFLOW_LOG_LEVEL="DEBUG")
    not_ready(server, "the database cannot be reached")
    until(lambda: server.events("boot.waiting"), what="the end of the first wait")
    for conn in range(8):
        waits = [e["ms"] for e in server.events("db.backoff") if e["conn"] == conn]
        assert len(waits) >= 3 and waits[0] < 1000 and all(500 <= w <= 30000 for w in waits) and waits[-1] > waits[0], waits
    cluster.start()
    server.wait("/health/ready")
    first_admin(server).get("/users")


def test_start_with_a_wrong_password(cluster, serve):
    cluster.sql("CREATE ROLE app LOGIN PASSWORD 'right'")
    cluster.sql("ALTER DATABASE app OWNER TO app")
    cluster.sql("GRANT ALL ON SCHEMA public TO app")
    hba = cluster.data / "pg_hba.conf"
    hba.write_text("host all app all scram-sha-256\nlocal all all trust\n")
    cluster.sql("SELECT pg_reload_conf()")
    server = serve(f"postgresql://app:wrong-and-secret@127.0.0.1:{cluster.port}/app", wait="live")
    body = not_ready(server, "the database refuses our credentials")
    assert "app" not in str(body) and str(cluster.port) not in str(body)
    assert "wrong-and-secret" not in server.log()
    cluster.sql("ALTER ROLE app PASSWORD 'wrong-and-secret'")
    server.wait("/health/ready")


def test_start_on_a_standby(cluster, serve):
    """A hot standby answers, but is of no use until it is promoted."""
    standby = Cluster(source=cluster)
    try:
        server = serve(standby.url, wait="live")
        not_ready(server, "the database is read-only or a standby")
        standby.sql("SELECT pg_promote()")
        server.wait("/health/ready")
        assert first_admin(server).make("/organizations", {"name": unique("org")})
        server.stop()
    finally:
        standby.remove()


def test_a_newer_schema_met_late_ends_the_server(cluster, serve):
    """Down at first, then there and newer: the one case in which the server gives up, with a status that says a restart is no help."""
    serve(cluster.url).stop()
    cluster.sql("INSERT INTO schema_migrations (number, name, sha256) VALUES (9999, 'future', repeat('0', 64))")
    cluster.stop()
    server = serve(cluster.url, wait="live")
    not_ready(server, "the database cannot be reached")
    cluster.start()
    assert server.process.wait(timeout=60) == 78
    assert "use a newer program" in server.log()
    done = subprocess.run([PROGRAM, "migrate"], env={"PATH": os.environ["PATH"], "DATABASE_URL": cluster.url}, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 78 and "use a newer program" in done.stderr


# ---- PG2: connections and servers that die -----------------------------------------------------------


@pytest.fixture
def busy(cluster, serve):
    """Inserts of organizations sleep as `pace` says, in the statement or in COMMIT."""
    server = serve(cluster.url, DOCKFLOW_AUTH_ACCESS_TOKEN_SECONDS="3600")
    api = first_admin(server)
    cluster.sql("""
        CREATE TABLE pace (statement float NOT NULL, commit float NOT NULL, acknowledge boolean NOT NULL);
        INSERT INTO pace VALUES (0, 0, false);
        CREATE FUNCTION pace_statement() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN PERFORM pg_sleep(statement) FROM pace; RETURN NEW; END $$;
        CREATE FUNCTION pace_commit() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN PERFORM pg_sleep(commit), set_config('synchronous_commit', CASE WHEN acknowledge THEN 'on' ELSE 'local' END, true) FROM pace;
             RETURN NULL; END $$;
        CREATE TRIGGER pace_statement BEFORE INSERT ON organizations FOR EACH ROW EXECUTE FUNCTION pace_statement();
        CREATE CONSTRAINT TRIGGER pace_commit AFTER INSERT ON organizations DEFERRABLE INITIALLY DEFERRED
          FOR EACH ROW EXECUTE FUNCTION pace_commit()""")
    return server, api


def in_background(fn, *args):
    box = {}
    thread = threading.Thread(target=lambda: box.update(result=fn(*args)))
    thread.start()
    return thread, box


def created(cluster, name):
    return cluster.one("SELECT count(*) FROM organizations WHERE name = %s", name)


KILLS = {"terminate": lambda c, pid: c.sql("SELECT pg_terminate_backend(%s)", pid), "kill -9": lambda c, pid: os.kill(pid, signal.SIGKILL),
         "immediate": lambda c, pid: (c.stop("immediate"), c.start())}


@pytest.mark.parametrize("how", KILLS)
@pytest.mark.parametrize("when", ["statement", "commit"])
def test_killed_in_the_middle(cluster, busy, how, when):
    server, api = busy
    name, key = unique("org"), unique("key")
    cluster.sql(f"UPDATE pace SET {when} = 30")
    thread, box = in_background(lambda: api.call("POST", "/organizations", json={"name": name}, headers={"Idempotency-Key": key}))
    sleeping = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND application_name = 'dockflow pool'"
    pid = until(lambda: cluster.one(sleeping), what="the backend at work")
    if when == "commit":
        assert cluster.one("SELECT query FROM pg_stat_activity WHERE pid = %s", pid) == "COMMIT"
    KILLS[how](cluster, pid)
    thread.join()
    r = box["result"]
    assert (r.status_code, code(r)) == (503, "DATABASE_UNAVAILABLE"), r.text
    assert (r.json()["error"]["details"] or {}).get("commit") == ("unknown" if when == "commit" else None)
    until(lambda: health(server)[0] == 200, what="ready again")
    assert created(cluster, name) == 0
    cluster.sql("UPDATE pace SET statement = 0, commit = 0")
    r, statuses = keyed(api, "/organizations", {"name": name}, key)
    assert r.status_code == 201 and r.json()["name"] == name, (statuses, r.text)
    assert created(cluster, name) == 1


def test_committed_but_never_told(cluster, busy):
    """The backend dies between the commit and its answer, as with a standby that does not acknowledge: the key finds out."""
    server, api = busy
    name, key = unique("org"), unique("key")
    cluster.sql("ALTER DATABASE app SET synchronous_commit = local")
    cluster.sql("UPDATE pace SET acknowledge = true")
    cluster.terminate("true")
    until(lambda: health(server)[0] == 200, what="ready again")
    cluster.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", setting="-c synchronous_commit=local")
    cluster.sql("SELECT pg_reload_conf()")
    thread, box = in_background(lambda: api.call("POST", "/organizations", json={"name": name}, headers={"Idempotency-Key": key}))
    pid = until(lambda: cluster.one("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"), what="the commit that waits")
    cluster.sql("SELECT pg_terminate_backend(%s)", pid)
    thread.join()
    r = box["result"]
    assert (r.status_code, code(r)) == (503, "DATABASE_UNAVAILABLE") and r.json()["error"]["details"]["commit"] == "unknown", r.text
    assert created(cluster, name) == 1
    cluster.sql("UPDATE pace SET acknowledge = false", setting="-c synchronous_commit=local")
    cluster.sql("ALTER SYSTEM RESET synchronous_standby_names", setting="-c synchronous_commit=local")
    cluster.sql("SELECT pg_reload_conf()")
    until(lambda: health(server)[0] == 200, what="ready again")
    r, _ = keyed(api, "/organizations", {"name": name}, key)
    assert r.status_code == 201 and r.headers["idempotency-replayed"] == "true"
    there = next(o for o in api.all("/organizations") if o["name"] == name)
    assert r.json() == there and r.headers["location"] == f"/api/v1/organizations/{there['id']}"
    assert created(cluster, name) == 1
    r = api.post("/organizations", {"name": name})
    assert r.status_code == 409


def test_a_thousand_terminations(cluster, busy):
    """Backends die a thousand times, at random, while six clients write: what was acknowledged is there once, and so is every key's effect."""
    server, api = busy
    cluster.sql("UPDATE pace SET statement = 0.002, commit = 0.004")
    stop, plain, tried, answers, failures = threading.Event(), [], [], {}, []

    def writer(n):
        mine = Api(server, api.token)
        for i in range(100000):
            if stop.is_set():
                return
            name, key = f"storm-{n}-{i}", f"key-{n}-{i}"
            if n == 0:  # without a key: an answer is a promise, no answer is none
                tried.append(name)
                with contextlib.suppress(httpx.TransportError):
                    r = mine.post("/organizations", {"name": name})
                    if r.status_code == 201:
                        plain.append(name)
                    elif r.status_code != 503:
                        failures.append(r.text)
                continue
            try:
                r, _ = keyed(mine, "/organizations", {"name": name}, key)
            except AssertionError as e:
                failures.append(str(e))
                return
            if r.status_code != 201:
                failures.append(r.text)
            answers[name] = r.json().get("id")

    threads = [threading.Thread(target=writer, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    killed, chance = 0, random.Random(20)
    with contextlib.closing(cluster.connect()) as c:
        c.autocommit = True
        cursor = c.cursor()
        deadline = time.monotonic() + 240
        while killed < 1000 and time.monotonic() < deadline and not failures:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'dockflow %' "
                           "ORDER BY state = 'active' DESC, random() LIMIT 1")
            killed += len(cursor.fetchall())
            time.sleep(chance.random() * 0.03)
    stop.set()
    for t in threads:
        t.join()
    assert not failures, failures[:5]
    assert killed >= 1000 and len(answers) > 100
    until(lambda: health(server)[0] == 200, what="ready again")
    there = dict(cluster.sql("SELECT name, count(*) FROM organizations WHERE name LIKE 'storm-%' GROUP BY name"))
    assert all(there.get(n) == 1 for n in plain) and set(there) <= set(plain) | set(tried) | set(answers)
    ids = dict(cluster.sql("SELECT name, id::text FROM organizations WHERE name LIKE 'storm-%'"))
    assert {n: ids.get(n) for n in answers} == answers
    audits = dict(cluster.sql("SELECT resource_name, count(*) FROM audit_logs WHERE action = 'organization.create' AND outcome = 'success' GROUP BY 1"))
    assert {n: audits.get(n) for n in there} == {n: 1 for n in there}
    assert enter(server, "admin@localhost", api.password).get("/audit-logs/verify")["ok"]
    print(f"{killed} terminations, {len(answers)} keyed and {len(plain)} of {len(tried)} plain writes, {metrics(server)['dockflow_db_reconnects']:.0f} reconnects")


# ---- PG4: it hangs ------------------------------------------------------------------------------------


def statuses_of(server, api, seconds, path="/users"):
    """What requests are answered meanwhile, ten at a time; each of them is answered."""
    seen, until_then = [], time.monotonic() + seconds

    async def ask(client):
        while time.monotonic() < until_then:
            r = await client.get("/api/v1" + path)
            seen.append((r.status_code, code(r) if r.status_code >= 400 else ""))
            await asyncio.sleep(0.1)

    async def all_of_them():
        async with httpx.AsyncClient(base_url=server.url, headers={"Authorization": f"Bearer {api.token}"}, timeout=60) as client:
            await asyncio.gather(*(ask(client) for _ in range(10)))

    asyncio.run(all_of_them())
    return seen


def test_frozen(cluster, serve):
    """Every process of PostgreSQL is stopped in its tracks, while statements run and while nothing can connect."""
    server = serve(cluster.tcp_url)
    api = first_admin(server)
    with loop_turns(server):
        cluster.signal(signal.SIGSTOP)
        seen = statuses_of(server, api, 14)
        assert set(seen) <= {(503, "DATABASE_UNAVAILABLE"), (200, "")} and seen[-1][0] == 503 and len(seen) > 20, seen
        not_ready(server, "the database does not answer")
        cluster.signal(signal.SIGCONT)
        until(lambda: health(server)[0] == 200, 40, what="recovery")
    assert [e["ms"] >= 7000 for e in server.events("db.silent")]
    assert enter(server, "admin@localhost", api.password).get("/users")["items"]


@pytest.fixture
def proxied(cluster, serve):
    proxy = Proxy(cluster.port)
    server = serve(proxy.url)
    yield proxy, server, first_admin(server)
    server.stop()
    proxy.close()


def under(proxy, server, api, mode, seconds, after=lambda: None):
    """What is answered while the proxy misbehaves, and that it ends with it."""
    with loop_turns(server):
        proxy.mode = mode
        seen = statuses_of(server, api, seconds)
        assert set(seen) <= {(503, "DATABASE_UNAVAILABLE"), (200, "")} and len(seen) >= 10, seen
        after()
        proxy.mode = "pass"
        until(lambda: health(server)[0] == 200, 40, what="recovery")
    assert enter(server, "admin@localhost", api.password).get("/users")["items"]
    return seen


def test_accepts_and_says_nothing(cluster, proxied):
    proxy, server, api = proxied
    proxy.mode = "silent"
    cluster.terminate("true")
    seen = under(proxy, server, api, "silent", 12, lambda: not_ready(server, "the database does not answer"))
    assert seen[-1][0] == 503 and "did not answer in 3000 ms" in server.log()


def test_two_seconds_slow(proxied):
    """Late is not away: everything is answered, the loop turns, and what comes after it is as always."""
    under(*proxied, "slow", 10)


def test_the_limits_are_the_promised_ones(cluster, serve):
    """Statement 5 s and idle transaction 10 s as the server sees them; the system's patience with a silent peer in tests/unit/pg."""
    cluster.sql("CREATE TABLE seen (name text, setting text)")
    server = serve(cluster.url)
    api = first_admin(server)
    cluster.sql("CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen SELECT name, setting || unit FROM pg_settings "
                "WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout'); RETURN NEW; END $$")
    cluster.sql("CREATE TRIGGER look BEFORE INSERT ON organizations FOR EACH ROW EXECUTE FUNCTION look()")
    api.make("/organizations", {"name": unique("org")})
    assert dict(cluster.sql("SELECT * FROM seen")) == {"statement_timeout": "5000ms", "idle_in_transaction_session_timeout": "10000ms"}


# ---- PG5: a small pool and a rush ---------------------------------------------------------------------


async def rush(server, token, n, path="/api/v1/users"):
    """n requests at once, each on a connection of its own, from addresses enough to pass the limits of one peer."""
    async def one(i):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=(f"127.0.1.{1 + i % 40}", 0))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode())
        data = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        head, _, body = data.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        return status, json.loads(body)["error"]["code"] if status >= 400 else ""

    return await asyncio.gather(*(one(i) for i in range(n)))


def test_a_thousand_requests_on_a_small_pool(cluster, serve):
    """Two connections for requests and one kept: what finds no place in the queue of 256 is told at once, what waits there is told after 2 s."""
    server = serve(cluster.url, DOCKFLOW_DATABASE_POOL_SIZE="3")
    api = first_admin(server)
    with contextlib.closing(cluster.connect()) as c:
        c.cursor().execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        thread, box = in_background(lambda: asyncio.run(rush(server, api.token, 1000)))
        until(lambda: metrics(server)["dockflow_db_queued"] >= 256, what="a full queue")
        until(lambda: "no connection in time" in server.log(), what="the end of patience")
        late = metrics(server)
        assert httpx.get(server.url + "/health/ready").status_code == 200  # rights are still being read: on the reserved connection
        c.rollback()
        thread.join()
    assert late["dockflow_db_in_flight"] <= 2 * 128 + 10
    assert metrics(server)["dockflow_db_queued_max"] == 256
    seen = box["result"]
    assert {s for s in seen} == {(200, ""), (503, "DATABASE_UNAVAILABLE")}, set(seen)
    assert sum(s == 503 for s, _ in seen) >= 1000 - 2 * 128
    assert "queue full" in server.log() and "no connection in time" in server.log()
    assert metrics(server)["dockflow_db_queued"] == 0
    assert api.get("/users")["items"] and not server.events("rbac.refresh_failed")


def test_no_connection_is_held_for_an_engine(cluster, serve):
    """Many requests wait for engines that say nothing; those that need only the database do not notice."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as dead:
        server = serve(cluster.url, DOCKFLOW_DATABASE_POOL_SIZE="3", DOCKFLOW_SERVER_DEV_MODE="true")
        api = first_admin(server)
        nodes = [api.make("/nodes", {"name": unique("node"), "url": f"tcp://127.0.0.1:{dead.getsockname()[1]}"}) for _ in range(3)]
        threads = [in_background(lambda n=n: api.call("POST", f"/nodes/{n['id']}/test")) for n in nodes for _ in range(10)]
        until(lambda: metrics(server)["dockflow_http_running"] >= 20, what="requests that wait for the engine")
        for i in range(20):
            assert api.make("/organizations", {"name": unique("org")}) and api.get("/users")["items"]
        held = until(lambda: metrics(server)["dockflow_http_running"] >= 20 and metrics(server)["dockflow_db_in_flight"] == 0, what="nothing in flight")
        assert held and cluster.one("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'dockflow %' AND state LIKE 'idle in%'") == 0
        for thread, box in threads:
            thread.join()
            assert box["result"].status_code in (200, 502, 503, 504), box["result"].text


# ---- PG6: what it answers -----------------------------------------------------------------------------


ANSWERS = {"53100": (503, "DATABASE_FULL", 1), "53200": (503, "DATABASE_UNAVAILABLE", 1), "53300": (503, "DATABASE_UNAVAILABLE", 1),
           "25006": (503, "DATABASE_UNAVAILABLE", 1), "40001": (503, "DATABASE_CONTENTION", 3), "40P01": (503, "DATABASE_CONTENTION", 3),
           "55P03": (503, "BUSY", 1), "57014": (504, "TIMEOUT", 1), "23505": (409, "CONFLICT", 1), "23503": (409, "CONFLICT", 1),
           "23514": (422, "INVALID_INPUT", 1), "22P02": (422, "INVALID_INPUT", 1), "XX000": (500, "DATABASE_ERROR", 1)}


def documented(code_):
    """The row of docs/errors.md for an SQLSTATE."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| `(\w+)` \| (\d+) \|$", (ROOT / "docs/errors.md").read_text(), re.M)
    return {state: (answer, int(tries)) for state, answer, tries in rows}.get(code_)


def test_each_answer_has_one_code_and_only_contention_is_tried_again(cluster, serve):
    server = serve(cluster.url)
    api = first_admin(server)
    cluster.sql("""
        CREATE TABLE trouble (state text);
        INSERT INTO trouble VALUES ('00000');
        CREATE SEQUENCE tries;
        CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE s text := (SELECT state FROM trouble); BEGIN
          PERFORM nextval('tries'); IF s <> '00000' THEN RAISE EXCEPTION 'a secret of the database' USING ERRCODE = s; END IF; RETURN NEW; END $$;
        CREATE TRIGGER trouble BEFORE INSERT ON organizations FOR EACH ROW EXECUTE FUNCTION trouble()""")
    for state, (status, answer, tries) in ANSWERS.items():
        cluster.sql("UPDATE trouble SET state = %s", state)
        cluster.sql("ALTER SEQUENCE tries RESTART")
        until(lambda: health(server)[0] == 200, what="ready")
        r = api.post("/organizations", {"name": unique("org")})
        assert (r.status_code, code(r)) == (status, answer), (state, r.text)
        assert cluster.one("SELECT last_value FROM tries") == tries, state
        assert "secret of the database" not in r.text
        assert documented(state) == (answer, tries), f"docs/errors.md on {state}"
    cluster.sql("UPDATE trouble SET state = '00000'")
    until(lambda: health(server)[0] == 200, what="ready")
    api.make("/organizations", {"name": unique("org")})
    assert cluster.one("SELECT count(*) FROM organizations WHERE name LIKE 'org-%%'") == 1


def test_a_real_deadlock_is_survived(cluster, serve):
    server = serve(cluster.url)
    api = first_admin(server)
    cluster.sql("""
        CREATE TABLE locks (i integer PRIMARY KEY);
        INSERT INTO locks VALUES (1), (2);
        CREATE SEQUENCE tries;
        CREATE FUNCTION crossing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          PERFORM nextval('tries'); PERFORM FROM locks WHERE i = 1 FOR UPDATE; PERFORM FROM locks WHERE i = 2 FOR UPDATE; RETURN NEW; END $$;
        CREATE TRIGGER crossing BEFORE INSERT ON organizations FOR EACH ROW EXECUTE FUNCTION crossing()""")
    name = unique("org")
    with contextlib.closing(cluster.connect()) as c:
        cursor = c.cursor()
        cursor.execute("SET deadlock_timeout = '60s'; SELECT FROM locks WHERE i = 2 FOR UPDATE")
        thread, box = in_background(lambda: api.post("/organizations", {"name": name}))
        until(lambda: cluster.one("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'dockflow pool'"), what="the wait")
        cursor.execute("SELECT FROM locks WHERE i = 1 FOR UPDATE")  # waits until the other one is the victim
        c.commit()
        thread.join()
    assert box["result"].status_code == 201, box["result"].text
    assert created(cluster, name) == 1 and cluster.one("SELECT last_value FROM tries") >= 2


def test_a_statement_that_takes_too_long(cluster, serve):
    """57014 for real: a table is locked for longer than a statement may take."""
    server = serve(cluster.url)
    api = first_admin(server)
    with contextlib.closing(cluster.connect()) as c:
        c.cursor().execute("LOCK TABLE organizations IN ACCESS EXCLUSIVE MODE")
        r = api.post("/organizations", {"name": "late"})
        assert (r.status_code, code(r)) == (504, "TIMEOUT"), r.text
        c.rollback()
    assert created(cluster, "late") == 0
    api.make("/organizations", {"name": "late"})
    assert code(api.post("/organizations", {"name": "late"}, expect=409)) == "CONFLICT"


def test_it_turns_read_only(cluster, serve):
    """25006 for real, as when a primary is demoted under us."""
    server = serve(cluster.url)
    api = first_admin(server)
    cluster.configure("default_transaction_read_only", "on")
    r = until(lambda: (r := api.post("/organizations", {"name": unique("org")})).status_code == 503 and r, what="the refusal")
    assert code(r) == "DATABASE_UNAVAILABLE"
    cluster.terminate("true")
    not_ready(server, "the database is read-only or a standby")
    cluster.sql("ALTER SYSTEM RESET default_transaction_read_only", setting="-c default_transaction_read_only=off")
    cluster.sql("SELECT pg_reload_conf()")
    until(lambda: health(server)[0] == 200, 40, what="recovery")
    enter(server, "admin@localhost", api.password).make("/organizations", {"name": unique("org")})


def test_no_connection_left(serve):
    """53300 for real: others have taken every connection."""
    crowd = Cluster(max_connections=20, superuser_reserved_connections=1)
    taken = []
    try:
        crowd.sql("CREATE ROLE app LOGIN")
        crowd.sql("ALTER DATABASE app OWNER TO app")
        crowd.sql("GRANT ALL ON SCHEMA public TO app")
        crowd_url = crowd.url.replace("user=postgres", "user=app")
        server = serve(crowd_url, DOCKFLOW_DATABASE_POOL_SIZE="2")
        api = first_admin(server)
        with contextlib.suppress(Exception):
            while True:
                taken.append(crowd.connect())
        late = serve(crowd_url, wait="live", DOCKFLOW_DATABASE_POOL_SIZE="2", DOCKFLOW_DATA_DIR=server.settings["DOCKFLOW_DATA_DIR"])
        not_ready(late, "the database has no connection left for us")
        assert api.get("/users")["items"]  # who is in stays in
        while taken:
            taken.pop().close()
        late.wait("/health/ready")
        late.stop()
        server.stop()
    finally:
        for c in taken:
            c.close()
        crowd.remove()


@pytest.fixture
def small_disk(tmp_path_factory):
    """A filesystem of 24 MB, or none where the test may not mount."""
    place = tmp_path_factory.mktemp("disk")
    for parent in [place, *place.parents][:3]:
        parent.chmod(0o755)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=777", "tmpfs", place], stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("no right to mount a small filesystem")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_the_disk_is_full(cluster, serve, small_disk):
    """53100 for real: the tables lie on a disk that somebody fills. Reading goes on, writing says so, and space brings it back."""
    server = serve(cluster.url)
    api = first_admin(server)
    subprocess.run(as_postgres("mkdir", small_disk / "space"), check=True)
    cluster.sql(f"CREATE TABLESPACE small LOCATION '{small_disk}/space'")
    cluster.sql("ALTER TABLE organizations SET TABLESPACE small")
    cluster.sql("ALTER TABLE audit_logs SET TABLESPACE small")
    api.make("/organizations", {"name": unique("before")})
    filler = small_disk / "filler"
    with open(filler, "wb") as f, contextlib.suppress(OSError):
        while True:
            f.write(b"x" * 65536)
    made, refused = [], None
    for _ in range(3000):  # the last pages fill first
        name = unique("org")
        r = api.post("/organizations", {"name": name, "description": "d" * 500})
        if r.status_code == 201:
            made.append(name)
        else:
            refused = r
            break
    assert refused is not None and (refused.status_code, code(refused)) == (503, "DATABASE_FULL"), refused and refused.text
    assert int(refused.headers["retry-after"]) > 0
    assert health(server)[0] == 200 and len(api.get("/organizations")["items"]) > 0
    filler.unlink()
    name = unique("after")
    enter(server, "admin@localhost", api.password).make("/organizations", {"name": name})
    assert created(cluster, name) == 1 and all(created(cluster, n) == 1 for n in made)


# ---- PG7: notifications ---------------------------------------------------------------------------------


def test_events_across_lost_connections(cluster, serve):
    """The listening connection dies again and again while things happen: a subscriber sees every event once and in order."""
    server = serve(cluster.url)
    api = first_admin(server)
    ticket = api.post("/ws-tickets", expect=201).json()["ticket"]
    made, got = [], []

    def work():
        for i in range(60):
            r, _ = keyed(api, "/organizations", {"name": f"ev-{i}"}, f"ev-{i}")
            assert r.status_code == 201, r.text
            made.append(r.json()["id"])
            if i % 3 == 0:
                cluster.terminate("application_name = 'dockflow listen'")
            if i % 10 == 5:
                cluster.terminate("true")

    async def watch():
        url = server.url.replace("http", "ws") + "/ws/v1/events"
        async with websockets.connect(url, subprotocols=["dockflow.v1", "ticket." + ticket]) as ws:
            await ws.send(json.dumps({"type": "subscribe", "id": "a", "topics": ["activity.new"]}))
            while json.loads(await asyncio.wait_for(ws.recv(), 20))["type"] != "subscribed":
                pass
            worker = asyncio.get_running_loop().run_in_executor(None, work)
            deadline = time.monotonic() + 120
            quiet_since = None
            # What came doubled would still come afterwards: the server looks by itself every 5 s.
            while quiet_since is None or time.monotonic() < quiet_since + 6:
                assert time.monotonic() < deadline, f"{len(got)} of {len(made)} events"
                with contextlib.suppress(asyncio.TimeoutError):
                    m = json.loads(await asyncio.wait_for(ws.recv(), 0.5))
                    assert m["type"] not in ("gap", "error"), m
                    if m["type"] == "event":
                        got.append(m)
                if quiet_since is None and worker.done() and {m["object"]["id"] for m in got} >= set(made):
                    quiet_since = time.monotonic()
            await worker

    asyncio.run(watch())
    seqs = [m["seq"] for m in got]
    assert seqs == sorted(set(seqs)) and [m["object"]["id"] for m in got] == made
    assert seqs == [s for s, in cluster.sql("SELECT seq FROM events WHERE topic = 'activity.new' AND object_id = ANY(%s) ORDER BY seq", made)]
    assert len(server.events("db.listen.lost")) >= 5


# ---- the database itself goes -------------------------------------------------------------------------------


def test_dropped_under_a_busy_server(cluster, serve):
    """Ten times, in the middle of everything; under ASan the end also says that nothing was leaked."""
    server = serve(cluster.url)
    api = first_admin(server)
    cluster.terminate("true")
    until(lambda: health(server)[0] == 200, what="ready again")
    stop = threading.Event()

    def ask(n):
        with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {api.token}"}, timeout=60) as client:
            while not stop.is_set():
                path = random.Random().choice(("users", "organizations", "roles", "audit-logs", "activity", "applications", "tasks"))
                r = client.get("/api/v1/" + path)
                assert r.status_code in (200, 401, 500, 503), r.text
                if n % 2:
                    client.post("/api/v1/organizations", json={"name": unique("x")})

    threads = [in_background(ask, n) for n in range(6)]

    def drop_and_restore():
        cluster.sql("DROP DATABASE app WITH (FORCE)", database="postgres")
        cluster.sql("CREATE DATABASE app TEMPLATE kept", database="postgres")

    def keep():
        with contextlib.suppress(Exception):
            cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'app'", database="postgres")
            cluster.sql("CREATE DATABASE kept TEMPLATE app", database="postgres")
            return True

    until(keep, what="a copy")
    for _ in range(10):
        until(lambda: health(server)[0] == 200, 60, what="ready again")
        time.sleep(random.random() * 0.3)
        drop_and_restore()
    until(lambda: health(server)[0] == 200, 60, what="ready again")
    stop.set()
    for thread, _ in threads:
        thread.join()
    assert enter(server, "admin@localhost", api.password).get("/users")["items"]
    assert server.stop() == 0, server.log()[-5000:]
