"""WebSockets: handshake (WS1-WS3), protocol (WS4), sizes (WS5), floods (WS6), slow readers (WS7), heartbeat (WS10)."""
import base64
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import time

import pytest

from conftest import parse, read_answer

KEY = base64.b64encode(b"0123456789abcdef").decode()
TICKET = ("Sec-WebSocket-Protocol", "dockflow.v1, ticket.ticket-alice")
ORIGIN = ("Origin", "http://t")


def handshake(server, path="/ws/v1/echo", headers=(ORIGIN,), version="13", key=KEY, method="GET", http="1.1", upgrade="websocket",
              source=None, rcvbuf=None, timeout=10):
    s = server.connect(source, rcvbuf=rcvbuf, timeout=timeout)
    lines = [f"{method} {path} HTTP/{http}", "Host: t", "Connection: Upgrade"]
    for name, value in (("Upgrade", upgrade), ("Sec-WebSocket-Version", version), ("Sec-WebSocket-Key", key)):
        if value is not None:
            lines.append(f"{name}: {value}")
    lines += [f"{n}: {v}" for n, v in headers]
    s.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    return s, read_answer(s)


def refused(server, status, code=None, **kw):
    s, answer = handshake(server, **kw)
    s.close()
    assert answer.status == status, (answer.status, answer.body)
    if code:
        assert answer.code == code


class Ws:
    def __init__(self, server, **kw):
        self.s, answer = handshake(server, **kw)
        assert answer.status == 101, answer.body
        self.answer, self.buffer = answer, answer.rest

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def send(self, opcode, data=b"", fin=True, mask=True, rsv=0, length=None):
        self.s.sendall(frame(opcode, data, fin, mask, rsv, length))

    def need(self, n):
        while len(self.buffer) < n:
            chunk = self.s.recv(65536)
            if not chunk:
                raise EOFError
            self.buffer += chunk

    def recv(self):
        """(opcode, payload); ("eof", b"") at the end."""
        try:
            self.need(2)
            n, at = self.buffer[1] & 127, 2
            assert not self.buffer[1] & 128, "server frames are not masked"
            if n == 126:
                self.need(4)
                n, at = struct.unpack(">H", self.buffer[2:4])[0], 4
            elif n == 127:
                self.need(10)
                n, at = struct.unpack(">Q", self.buffer[2:10])[0], 10
            self.need(at + n)
        except (EOFError, ConnectionResetError):
            return "eof", b""
        opcode, payload = self.buffer[0] & 15, self.buffer[at:at + n]
        self.buffer = self.buffer[at + n:]
        return opcode, payload

    def close_code(self):
        """Read until the close frame; its code, None if the connection just ended."""
        while True:
            opcode, payload = self.recv()
            if opcode == 8:
                return struct.unpack(">H", payload[:2])[0] if payload else 1005
            if opcode == "eof":
                return None


def frame(opcode, data=b"", fin=True, mask=True, rsv=0, length=None):
    n = len(data) if length is None else length
    head = bytes([(128 if fin else 0) | rsv << 4 | opcode])
    bit = 128 if mask else 0
    if n < 126:
        head += bytes([bit | n])
    elif n < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", n)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", n)
    if not mask:
        return head + data
    key = os.urandom(4)
    return head + key + bytes(b ^ key[i % 4] for i, b in enumerate(data))


def test_echo_and_close(server):
    with Ws(server) as w:
        accept = base64.b64encode(hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
        assert w.answer.header("sec-websocket-accept") == accept
        assert w.answer.header("sec-websocket-extensions") is None
        for n in (0, 1, 125, 126, 65535, 65536):
            w.send(2, b"x" * n)
            assert w.recv() == (2, b"x" * n)
        w.send(1, b"he", fin=False)
        w.send(9, b"ping")
        w.send(0, b"llo")
        assert w.recv() == (10, b"ping")
        assert w.recv() == (1, b"hello")
        w.send(8, struct.pack(">H", 1000))
        assert w.recv() == (8, struct.pack(">H", 1000))
        assert w.recv() == ("eof", b"")


def test_early_frames_are_not_lost(server):
    s = server.connect()
    head = f"GET /ws/v1/echo HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
           f"Sec-WebSocket-Key: {KEY}\r\nOrigin: http://t\r\n\r\n"
    s.sendall(head.encode() + frame(1, b"early"))
    answer = read_answer(s)
    data = answer.rest
    while len(data) < 7:
        data += s.recv(100)
    assert data == b"\x81\x05early"
    s.close()


def test_server_closes_with_a_code(server):
    with Ws(server) as w:
        w.send(1, b"close me")
        assert w.recv() == (8, struct.pack(">H", 4403) + b"as you wish")
        w.send(8, struct.pack(">H", 4403))
        assert w.recv() == ("eof", b"")


@pytest.mark.parametrize("headers", [
    (), (("Origin", "null"),), (("Origin", "http://evil.example"),), (("Origin", "http://t.evil.example"),), (("Origin", "http://evil-t"),),
    (("Origin", "http://t:81"),), (("Origin", "https://t"),), (ORIGIN, ORIGIN), (("Cookie", "df_session=alice"),),
    (("Origin", "http://evil.example"), TICKET)])
def test_origin(server, headers):
    refused(server, 403, "ORIGIN_NOT_ALLOWED", headers=headers)


def test_ticket_and_bearer_replace_origin(server):
    for headers in ((TICKET,), (("Authorization", "Bearer alice"),)):
        with Ws(server, path="/ws/v1/private", headers=headers) as w:
            if headers[0] is TICKET:
                assert w.answer.header("sec-websocket-protocol") == "dockflow.v1"
            w.send(1, b"x")
            assert w.recv() == (1, b"x")
    refused(server, 401, path="/ws/v1/private", headers=(("Sec-WebSocket-Protocol", "ticket.old"),))
    refused(server, 401, path="/ws/v1/private", headers=(ORIGIN,))
    refused(server, 400, "UNKNOWN_PARAMETER", path="/ws/v1/private?token=alice")
    refused(server, 400, "AMBIGUOUS_CREDENTIALS", path="/ws/v1/private", headers=(TICKET, ("Authorization", "Bearer alice")))
    with Ws(server, path="/ws/v1/private", headers=(ORIGIN, ("Cookie", "df_session=alice"))):
        pass


def test_handshake_rules(server):
    for version in ("12", "8", None, "13, 8", ""):
        s, answer = handshake(server, version=version)
        assert answer.status == 426 and answer.header("sec-websocket-version") == "13"
        s.close()
    for key in ("short", None, "A" * 24, KEY + "=", base64.b64encode(b"x" * 15).decode(), "!" * 24):
        refused(server, 400 if key != "A" * 24 else 400, key=key)
    refused(server, 400, http="1.0")
    refused(server, 405, method="POST")
    refused(server, 426, upgrade="h2c")
    refused(server, 426, upgrade=None)
    refused(server, 404, path="/ws/v1/nope")
    s, answer = handshake(server, path="/api/v1/echo")
    assert answer.status == 200
    s.close()


def test_no_extension_is_negotiated(server):
    offer = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
    with Ws(server, headers=(ORIGIN, offer)) as w:
        assert w.answer.header("sec-websocket-extensions") is None


BROKEN = {
    "unmasked": ([frame(1, b"x", mask=False)], {1002}),
    "rsv1": ([frame(1, b"x", rsv=4)], {1002}),
    "rsv3": ([frame(1, b"x", rsv=1)], {1002}),
    "opcode 3": ([frame(3, b"x")], {1002}),
    "opcode 11": ([frame(11, b"x")], {1002}),
    "fragmented ping": ([frame(9, b"x", fin=False)], {1002}),
    "long ping": ([frame(9, b"x" * 126)], {1002}),
    "continuation first": ([frame(0, b"x")], {1002}),
    "text inside text": ([frame(1, b"x", fin=False), frame(1, b"y")], {1002}),
    "bad utf-8": ([frame(1, b"\xff\xfe")], {1007}),
    "bad utf-8 across fragments": ([frame(1, b"\xe2\x82", fin=False), frame(0, b"\x28")], {1007}),
    "surrogate": ([frame(1, b"\xed\xa0\x80")], {1007}),
    "cut utf-8": ([frame(1, b"\xe2\x82")], {1007}),
    "close of one byte": ([frame(8, b"x")], {1002}),
    "close 999": ([frame(8, struct.pack(">H", 999))], {1002}),
    "close 1005": ([frame(8, struct.pack(">H", 1005))], {1002}),
    "close bad utf-8": ([frame(8, struct.pack(">H", 1000) + b"\xff")], {1002, 1007}),
    "2 GiB": ([frame(2, b"", length=2**31 - 1)], {1009}),
    "2^62": ([frame(2, b"", length=2**62)], {1009}),
    "2^63": ([frame(2, b"", length=2**63)], {1002, 1009}),
    "64 KiB and one": ([frame(2, b"x" * 65537)], {1009}),
    "fragments beyond": ([frame(2, b"x" * 40000, fin=False), frame(0, b"x" * 40000)], {1009}),
    "padded length": ([b"\x82\xfe\x00\x05" + b"\0" * 4 + b"hello"], {1002}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_protocol_errors(server, name):
    frames, codes = BROKEN[name]
    with Ws(server) as w:
        w.s.sendall(b"".join(frames))
        assert w.close_code() in codes
        w.send(8, struct.pack(">H", 1000))
        assert w.recv()[0] == "eof"


def test_declared_size_is_not_allocated(start):
    server = start()
    with Ws(server) as w:
        rss = server.rss_kib()
        w.s.sendall(frame(2, b"", length=2**31 - 1))
        assert w.close_code() == 1009
        assert server.rss_kib() - rss < 2048


def test_split_into_single_bytes(server):
    with Ws(server) as w:
        for b in frame(1, "é€".encode()) + frame(9, b"p"):
            w.s.sendall(bytes([b]))
            time.sleep(0.001)
        assert w.recv() == (1, "é€".encode())
        assert w.recv() == (10, b"p")


def test_ping_flood_is_cut(server):
    with Ws(server) as w:
        try:
            for _ in range(200):
                w.s.sendall(frame(9, b"x" * 100) * 500)
        except OSError:
            pass
        assert w.close_code() == 1008
    assert server.get("/api/v1/echo").status == 200


def test_empty_fragments_are_cut(server):
    with Ws(server) as w:
        try:
            w.s.sendall(frame(1, b"", fin=False))
            for _ in range(1000):
                w.s.sendall(frame(0, b"", fin=False) * 1000)
        except OSError:
            pass
        assert w.close_code() == 1008
    assert server.get("/api/v1/echo").status == 200


def test_slow_viewer_has_bounded_memory(start):
    server = start()
    rss = server.rss_kib()
    with Ws(server, path="/ws/v1/flood", rcvbuf=4096):
        time.sleep(3)
        assert server.rss_kib() - rss < 12 * 1024
        begun = time.time()
        assert server.get("/api/v1/echo").status == 200 and time.time() - begun < 0.5
    server.wait_for(lambda c: c["wsClosed"] == 1)


def test_a_viewer_that_stopped_reading_is_told_why(start):
    """WS7: the queue is bounded, and after the stall limit the close says 1013, for whoever still listens."""
    server = start({"DF_TEST_WS_STALL_MS": "1500"})
    rss = server.rss_kib()
    with Ws(server, path="/ws/v1/flood", rcvbuf=4096):
        assert server.wait_for(lambda c: c["wsClosed"] == 1, 20)["wsLastCode"] == 1013
        assert server.rss_kib() - rss < 12 * 1024
    with Ws(server, path="/ws/v1/flood", rcvbuf=4096) as w:
        time.sleep(3.5)
        assert w.close_code() == 1013


@pytest.fixture
def silence():
    """silence(address): nothing from there arrives any more."""
    rules = []

    def go(address):
        rule = ["INPUT", "-s", address, "-j", "DROP"]
        if shutil.which("iptables") is None or subprocess.run(["iptables", "-w", "-I", *rule], capture_output=True).returncode != 0:
            pytest.skip("no packet filter here")
        rules.append(rule)
    yield go
    for rule in rules:
        subprocess.run(["iptables", "-w", "-D", *rule], check=True)


def test_a_peer_that_vanished_while_something_waits_for_it(start, silence):
    """WS10: its kernel acknowledges nothing, so it is dead after the heartbeat's time, not after the minute of who only does not read."""
    server = start({"DF_TEST_WS_PING_MS": "500", "DF_TEST_WS_DEAD_MS": "4000"})
    with Ws(server, path="/ws/v1/flood", source="127.9.8.7", rcvbuf=4096):
        silence("127.9.8.7")
        assert server.wait_for(lambda c: c["wsClosed"] == 1, 20)["wsLastCode"] == 1006


def test_heartbeat(start):
    server = start({"DF_TEST_WS_PING_MS": "500", "DF_TEST_WS_DEAD_MS": "2500"})
    with Ws(server, timeout=10) as w:
        begun = time.time()
        assert w.recv() == (9, b"") and time.time() - begun < 2.5
        while (f := w.recv())[0] == 9:
            pass  # never answered: half-open from the server's view
        assert f[0] == "eof" and time.time() - begun < 6
    assert server.wait_for(lambda c: c["wsClosed"] == 1)["wsLastCode"] == 1006
    with Ws(server) as w:
        end = time.time() + 4
        while time.time() < end:
            assert w.recv() == (9, b"")
            w.send(10)


def test_sockets_per_user_are_capped(start):
    server = start({"DF_TEST_WS_MAX": "3"})
    held = [Ws(server, path="/ws/v1/private", headers=(TICKET,)) for _ in range(3)]
    refused(server, 429, path="/ws/v1/private", headers=(TICKET,))
    held.pop().s.close()
    server.wait_for(lambda c: c["wsClosed"] == 1)
    Ws(server, path="/ws/v1/private", headers=(TICKET,)).s.close()


def test_resets_free_everything(server):
    before = server.counters()
    fds = server.fds()
    for i in range(100):
        w = Ws(server)
        w.send(1, b"x" * 1000)
        if i % 2:
            w.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        w.s.close()
    after = server.wait_for(lambda c: c["conns"] == 1 and c["fibers"] == 0)
    assert after["wsClosed"] - before["wsClosed"] == 100
    assert server.fds() <= fds + 2
    assert after["arenas"] <= before["arenas"] + 4


def test_client_leaves_before_101(server):
    for _ in range(50):
        s = server.connect()
        s.sendall(f"GET /ws/v1/echo HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                  f"Sec-WebSocket-Key: {KEY}\r\nOrigin: http://t\r\n\r\n".encode())
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()
    server.wait_for(lambda c: c["conns"] == 1 and c["fibers"] == 0)
