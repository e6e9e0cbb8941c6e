"""(h) what others notice while one address attacks: their p99 with and without, in the same run."""
import base64
import contextlib
import http.client
import multiprocessing
import os
import socket
import struct
import time

from lib import Api, Database, Server, folder, median, percentile
from rows_http import seed

ATTACKER, SECONDS, ROUNDS = "127.66.0.1", 4, 5
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
# :method GET, :scheme http, :path /health/live, :authority t, without an index
HEAD = b"\x82\x86\x04\x0c/health/live\x01\x01t"


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(ATTACKER, 0))


def drain(s):
    with contextlib.suppress(OSError):
        while s.recv(65536):
            pass


def resets(port, _):
    """HB2: 100,000 requests on one connection, each reset at once; and again, as long as connections are taken."""
    frames = PREFACE + b"".join(struct.pack(">I", len(HEAD))[1:] + b"\1\5" + struct.pack(">I", i) + HEAD + b"\0\0\4\3\0" + struct.pack(">II", i, 8)
                                for i in range(1, 200000, 2))
    while True:
        with contextlib.suppress(OSError), connect(port) as s:
            s.sendall(frames)
            drain(s)


def upgraded(port, tickets):
    s = connect(port)
    key = base64.b64encode(os.urandom(16)).decode()
    s.sendall(f"GET /ws/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
              f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: dockflow.v1, ticket.{tickets.ticket()}\r\n\r\n".encode())
    if not s.recv(4096).startswith(b"HTTP/1.1 101"):
        raise RuntimeError("no WebSocket")
    return s


class Tickets:
    def __init__(self, port, token):
        self.api = Api(type("Server", (), {"port": port}))
        self.api.token = token

    def ticket(self):
        return self.api.call("POST", "/ws-tickets")["ticket"]


def frames_at(data):
    def attack(port, token):
        tickets = Tickets(port, token)
        while True:
            with contextlib.suppress(OSError), upgraded(port, tickets) as s:
                for _ in range(10):
                    s.sendall(data)
    return attack


pings = frames_at(b"\x89\x84abcdwxyz" * 100000)
fragments = frames_at(b"\x01\x80abcd" + b"\x00\x80abcd" * 100000)


def others(port, path, token, seconds):
    """Milliseconds of each request of somebody who asks every five."""
    c, took = http.client.HTTPConnection("127.0.0.1", port, timeout=10), []
    end = time.monotonic() + seconds
    while (begin := time.monotonic()) < end:
        c.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        r = c.getresponse()
        r.read()
        if r.status != 200:
            raise RuntimeError(f"{path}: {r.status} while attacked")
        took.append((time.monotonic() - begin) * 1000)
        time.sleep(max(0, begin + 0.005 - time.monotonic()))
    return percentile(took, 99)


def attacked(server, path, token, attack):
    calm, hit = [], []
    for _ in range(ROUNDS):
        calm.append(others(server.port, path, token, SECONDS))
        p = multiprocessing.Process(target=attack, args=(server.port, token), daemon=True)
        p.start()
        try:
            hit.append(others(server.port, path, token, SECONDS))
            if not p.is_alive():
                raise RuntimeError("the attack ended early")
        finally:
            p.kill()
            p.join()
    return median(calm), median(hit), median(h / c for c, h in zip(calm, hit))


def under_attack(lab_url):
    rows = []
    with folder() as tmp:
        db = Database(lab_url, "df_bench_h")
        server = Server(db.url, tmp)
        try:
            api = Api(server).first_login()
            app, _ = seed(db, api)
            time.sleep(3)  # the node that cannot be reached has been found out
            for name, attack in (("100,000 HTTP/2 requests that are reset at once, again and again", resets),
                                 ("WebSocket pings as fast as they go, nothing read", pings), ("empty WebSocket fragments, a million", fragments)):
                calm, hit, ratio = attacked(server, f"/api/v1/applications/{app['id']}", api.token, attack)
                rows.append(("h", f"p99 of GET one application while another address sends {name}", f"{hit:.2f} ms", f"{calm:.2f} ms without",
                             f"{ratio:.2f}", "< 2", ratio < 2))
        finally:
            server.stop()
            db.drop()
    return rows
