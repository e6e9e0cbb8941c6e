"""(c) one container's log to many viewers, (f) ten thousand WebSockets that wait."""
import json
import os
import re
import subprocess
import time
import urllib.parse

from lib import BUILD, Api, Database, Server, cpu_seconds, folder, median, rss_kib, run, until

LINE = "GET /shop/items/17 200 12ms user=ada request=0190b0f4-5d3a agent=browser some more text to be a usual line"
VIEWERS = ((1, 100000), (100, 10000), (1000, 10000))  # viewers, lines of one burst
GROWTH_LINES = 10000  # the engine's cost is compared over bursts of one length: each burst has a fixed cost of its own
IDLE, USERS = 10000, 10


def docker(*args):
    return run("docker", *args).strip()


class Talker:
    """A container that writes `lines` lines each time it is told to, by a file: the engine has no part in that."""

    def __init__(self, name, told):
        script = f'while :; do if [ -f /told/go ]; then c=$(cat /told/go); rm /told/go; yes "{LINE}" | head -n $c; fi; sleep 0.02; done'
        self.name, self.told = name, told
        told.mkdir()
        subprocess.run(["docker", "rm", "-f", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.id = docker("run", "-d", "--name", name, "--log-driver", "json-file", "-v", f"{told}:/told", "busybox:local", "sh", "-c", script)

    def say(self, lines):
        (self.told / "new").write_text(f"{lines}\n")
        (self.told / "new").rename(self.told / "go")
        return time.monotonic()

    def remove(self):
        docker("rm", "-f", self.name)


def quiet(*pids):
    """The engine and the server have worked off what was said before."""
    def look():
        before = [cpu_seconds(p) for p in pids]
        time.sleep(0.3)
        return all(cpu_seconds(p) - b < 0.03 for p, b in zip(pids, before))
    until(look, 60, 0, "quiet")


def by_cat(talker, lines):
    """Lines per second of `docker logs -f | cat`, from the order to the last byte."""
    logs = subprocess.Popen(["docker", "logs", "-f", "--tail", "0", talker.name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    cat = subprocess.Popen(["cat"], stdin=logs.stdout, stdout=subprocess.PIPE)
    time.sleep(1)
    began, left = talker.say(lines), lines * (len(LINE) + 1)
    while left > 0:
        left -= len(os.read(cat.stdout.fileno(), 1 << 20))
    took = time.monotonic() - began
    logs.kill()
    logs.wait()
    cat.wait()
    return lines / took


def viewers(server, token, talker, count, lines, tokens):
    path = f"/ws/v1/containers/{talker.id}/logs?tail=0"
    tokens.write_text(token + "\n")
    p = subprocess.Popen([BUILD / "df-bench-ws", str(server.port), path, str(count), "60", str(tokens), str(lines)], stdout=subprocess.PIPE, text=True)
    if not p.stdout.readline().startswith("open"):
        raise RuntimeError("the viewers did not open")
    time.sleep(0.5)
    quiet(server.pid, engine_pid())
    engine, ours = cpu_seconds(engine_pid()), cpu_seconds(server.pid)
    began = talker.say(lines)
    time.sleep(3)  # the engine is done long before a thousand viewers are; what it does otherwise is not counted
    engine = cpu_seconds(engine_pid()) - engine
    got = json.loads(p.stdout.readline())
    p.wait()
    took = got["last"] - began
    return {"rate": got["lines"] / took, "mb": got["bytes"] / took / 1e6, "lost": count * lines - got["lines"], "took": took,
            "engine": engine, "ours": cpu_seconds(server.pid) - ours}


def engine_cost(server, token, talker, count, tokens, measured):
    """Processor time of the engine per line, microseconds."""
    runs = measured or [viewers(server, token, talker, count, GROWTH_LINES, tokens) for _ in range(3)]
    return median(r["engine"] for r in runs) / GROWTH_LINES * 1e6


def engine_pid():
    return int(open(os.environ["DF_LAB_DIR"] + "/docker/pid").read())


def fan_out(lab_url):
    rows, engine = [], {}
    with folder() as tmp:
        db = Database(lab_url, "df_bench_c")
        server = Server(db.url, tmp, {"DOCKER_HOST": os.environ["DOCKER_HOST"]})
        talker = Talker("df-bench-talker", tmp / "told")
        try:
            api = Api(server).first_login()
            until(lambda: any(c["id"] == talker.id for c in api.call("GET", "/containers")["items"]), 20, 0.2, "the container in the index")
            for count, lines in VIEWERS:
                plain, ours = [], []
                for _ in range(3):
                    quiet(server.pid, engine_pid())
                    plain.append(by_cat(talker, lines))
                    ours.append(viewers(server, api.token, talker, count, lines, tmp / "tokens"))
                rate, base = median(o["rate"] for o in ours), median(plain)
                each = median(o["rate"] / count / p for o, p in zip(ours, plain))
                engine[count] = engine_cost(server, api.token, talker, count, tmp / "tokens", ours if lines == GROWTH_LINES else None)
                lost = sum(max(0, o["lost"]) for o in ours)
                rows.append(("c", f"log of one container to {count} viewer{'s' if count > 1 else ''}, {lines:,} lines at once",
                             f"{rate:,.0f} lines/s, {median(o['mb'] for o in ours):.1f} MB/s in all{f', {lost} lines dropped' if lost else ''}",
                             f"{base:,.0f} lines/s, {base * (len(LINE) + 1) / 1e6:.1f} MB/s (docker logs -f, cat)", f"{each:.2f} each",
                             "≥ 0.9" if count == 1 else "", each >= 0.9 if count == 1 else None))
            growth = engine[1000] / engine[1] if engine[1] else 0
            rows.append(("c", "the engine's processor time per line with 1 / 100 / 1000 viewers",
                         " / ".join(f"{engine[n]:.1f} µs" for n, _ in VIEWERS), "", f"{growth:.2f}", "no growth", growth <= 1.1))
        finally:
            server.stop()
            talker.remove()
            db.drop()
    return rows


def idle_sockets(lab_url):
    with folder() as tmp:
        db = Database(lab_url, "df_bench_f")
        server = Server(db.url, tmp)
        try:
            api, tokens = Api(server).first_login(), []
            for i in range(USERS):
                api.call("POST", "/users", {"username": f"viewer{i}", "email": f"viewer{i}@example.test", "password": "a phrase for viewers 3",
                                            "mustChangePassword": False})
                tokens.append(Api(server).login(f"viewer{i}", "a phrase for viewers 3").token)
            (tmp / "tokens").write_text("\n".join(tokens) + "\n")
            time.sleep(2)
            before = rss_kib(server.pid)
            p = subprocess.Popen([BUILD / "df-bench-ws", str(server.port), "/ws/v1/events", str(IDLE), "35", str(tmp / "tokens")],
                                 stdout=subprocess.PIPE, text=True)
            if not p.stdout.readline().startswith("open"):
                raise RuntimeError("the sockets did not open")
            time.sleep(26)  # one round of pings has passed
            during, cpu = rss_kib(server.pid), cpu_seconds(server.pid)
            time.sleep(5)
            cpu = (cpu_seconds(server.pid) - cpu) / 5 * 100
            got = json.loads(p.stdout.readline())
            p.wait()
            each = (during - before) / IDLE
            if got["closed"]:
                raise RuntimeError(f"{got['closed']} sockets were closed")
        finally:
            server.stop()
            db.drop()
    return [("f", f"{IDLE:,} idle WebSockets, memory each", f"{each:.1f} KiB ({before / 1024:.0f} → {during / 1024:.0f} MiB RSS, {cpu:.1f} % CPU)", "", "", "≤ 20 KiB",
             each <= 20)]
