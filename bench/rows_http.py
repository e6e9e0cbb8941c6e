"""(a) the smallest answer, (b) one application and a list of fifty, (g) the process at rest."""
import os
import subprocess
import threading
import time

from lib import BUILD, PROGRAM, Api, Database, Process, Server, folder, free_port, h2load, median, percentile, rss_kib, run, versus, wrk

SQL_ONE = "SELECT df_json(a)::text, a.version FROM applications a WHERE a.id = $1::uuid"
SQL_LIST = "SELECT (df_json(a))::text, (a.name)::text, (a.id)::text FROM applications a WHERE true ORDER BY a.name ASC, a.id ASC LIMIT 51"
APPLICATIONS = 1000


def seed(db, api, repository_url="https://git.example.com/team/shop.git", count=APPLICATIONS):
    """An organization, a project, a node and `count` applications called bench-*; the first by the API, the others copied from it."""
    org = api.call("POST", "/organizations", {"name": "bench", "displayName": "Bench"})
    project = api.call("POST", "/projects", {"name": "bench", "organizationId": org["id"]})
    node = api.call("POST", "/nodes", {"name": "bench-node", "url": "tcp://127.0.0.1:1"})
    repo = api.call("POST", "/repositories", {"name": "bench", "url": repository_url, "projectId": project["id"]})
    app = api.call("POST", "/applications", {"name": "bench-00000", "projectId": project["id"], "repositoryId": repo["id"], "nodeId": node["id"],
                                             "branch": "main", "path": "", "environment": {"name": "prod", "variables": {"GREETING": "hello"}},
                                             "syncPolicy": {"automated": False, "prune": True, "selfHeal": False}})
    db.sql(f"""INSERT INTO applications (id, org_id, scope_id, name, repository_id, target_revision, node_id, project_name, variables, sync_policy, environment)
               SELECT gen_random_uuid(), org_id, scope_id, 'bench-' || lpad(i::text, 5, '0'), repository_id, target_revision, node_id,
                      'bench-' || lpad(i::text, 5, '0'), variables, sync_policy, environment
                 FROM applications, generate_series(1, {count - 1}) i WHERE applications.id = '{app["id"]}'; ANALYZE""")
    return app, repo


def health(lab_url):
    with folder() as tmp:
        db = Database(lab_url, "df_bench_a")
        port = free_port()
        bare = Process([BUILD / "df-bench-bare", port], ready="ready")
        server = Server(db.url, tmp)
        try:
            base = f"http://127.0.0.1:{server.port}"
            h1 = versus(lambda u, s, t: wrk(u, s), (server.pid, base + "/health/live", None), (bare.pid, f"http://127.0.0.1:{port}/live", None))
            h2 = versus(lambda u, s, t: h2load(u, s), (server.pid, base + "/health/live", None), (bare.pid, f"http://127.0.0.1:{port}/live", None))
            headed = versus(lambda u, s, t: h2load(u, s), (server.pid, base + "/health/live", None), (bare.pid, f"http://127.0.0.1:{port}/headed", None))
        finally:
            server.stop()
            bare.stop()
            db.drop()
    return [row("a", f"/health/live, {label}", got) for label, got in (("HTTP/1.1, 64 connections", h1), ("h2c, 8 connections x 32 streams", h2),
                                                                    ("h2c, the bare handler sending the same header fields", headed))], (h1, h2)


def row(key, what, got, aim=0.9):
    rates, ratio, cpu = got
    return (key, what, f"{rates['ours']['rate']:,.0f}/s, {rates['ours']['us']:.1f} µs CPU", f"{rates['bare']['rate']:,.0f}/s, {rates['bare']['us']:.1f} µs CPU",
            f"{ratio:.2f} (CPU {cpu:.2f})", f"≥ {aim}", ratio >= aim)


def pgbench(db_url, seconds, *more):
    text = run("pgbench", "-n", "-M", "prepared", "-c", 8, "-j", 2, "-T", seconds, *more, db_url)
    return float(text.split("tps = ")[1].split()[0])


def applications(lab_url, seconds=3):
    with folder() as tmp:
        db, plain = Database(lab_url, "df_bench_b"), Database(lab_url, "df_bench_pgbench")
        server = Server(db.url, tmp)
        bare = None
        try:
            api = Api(server).first_login()
            app, _ = seed(db, api)
            port = free_port()
            bare = Process([BUILD / "df-bench-bare", port, db.url, SQL_ONE, SQL_LIST], ready="ready")
            run("pgbench", "-i", "-q", "-s", 10, plain.url)
            (tmp / "one.sql").write_text(f"SELECT df_json(a)::text, a.version FROM applications a WHERE a.id = '{app['id']}'::uuid;\n")
            time.sleep(3)  # the node that cannot be reached has been found out
            ours, theirs = f"http://127.0.0.1:{server.port}/api/v1/applications", f"http://127.0.0.1:{port}"
            rows = []
            for label, a, b in (("GET one application", f"{ours}/{app['id']}", f"{theirs}/one/{app['id']}"), ("GET a list of 50", f"{ours}?limit=50", f"{theirs}/list")):
                # Fewer streams for the list: at 256 of them in flight a slow database is answered with 503, as it should be.
                streams = 32 if "one" in label else 4
                for how, load in (("HTTP/1.1", wrk), (f"h2c 8 x {streams}", lambda u, s, t, n=streams: h2load(u, s, t, streams=n))):
                    rows.append(row("b", f"{label}, {how}", versus(load, (server.pid, a, api.token), (bare.pid, b, None), seconds), 0.7))
            select = pgbench(plain.url, seconds, "-S")
            same = pgbench(db.url, seconds, "-f", tmp / "one.sql")
            rows.append(("b", "for comparison: pgbench -S / the same query by pgbench, -M prepared -c 8", f"{select:,.0f}/s / {same:,.0f}/s", "", "", "", None))
        finally:
            server.stop()
            if bare:
                bare.stop()
            db.drop()
            plain.drop()
    return rows


def at_rest(lab_url):
    """Start on a database that has its schema; memory a few seconds after; size of the file."""
    with folder() as tmp:
        db = Database(lab_url, "df_bench_g")
        ready, rss = [], 0
        try:
            Server(db.url, tmp).stop()
            for _ in range(7):
                server = Server(db.url, tmp)
                ready.append(server.ready_s * 1000)
                if len(ready) == 7:
                    time.sleep(5)
                    rss = rss_kib(server.pid) / 1024
                server.stop()
        finally:
            db.drop()
        stripped = tmp / "stripped"
        run("strip", "-o", stripped, PROGRAM)
        size, small = os.path.getsize(PROGRAM) / 2**20, os.path.getsize(stripped) / 2**20
    return [("g", "memory at rest (RSS)", f"{rss:.1f} MiB", "", "", "≤ 40 MiB", rss <= 40),
            ("g", "start to ready, database up, schema there (median of 7)", f"{median(ready):.0f} ms", "", "", "≤ 150 ms", median(ready) <= 150),
            ("g", "program with UI inside", f"{size:.1f} MiB, stripped {small:.1f} MiB", "", "", "", None)]
