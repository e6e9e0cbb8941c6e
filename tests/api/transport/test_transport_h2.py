"""HTTP/2 frame attacks: resets (HB2, HB3), floods (HB4, HB6), header bombs (HB5), windows (HB7), mismatches (HB8), caps (HB9)."""
import struct
import threading
import time

import pytest
from hyperframe import frame as F

from conftest import BUILD
from h2client import Connection


class H2(Connection):
    def __init__(self, server, source=None, rcvbuf=None, settings=None):
        super().__init__(server.connect(source, timeout=15, rcvbuf=rcvbuf), settings)


def window(stream, n):
    return struct.pack(">I", 4)[1:] + b"\x08\x00" + struct.pack(">II", stream, n)


def flood(c, frames, batch=100):
    try:
        for i in range(0, len(frames), batch):
            c.s.sendall(b"".join(frames[i:i + batch]))
    except OSError:
        pass


def test_requests_work_and_streams_run_concurrently(server, source):
    with H2(server, source) as c:
        assert c.ask()[0] == 200
        slow, quick = c.headers("/api/v1/slow?ms=500"), c.headers()
        c.send(slow, quick)
        assert c.answer(quick.stream_id)[0] == 200
        assert c.answer(slow.stream_id)[0] == 200
        post = c.headers("/api/v1/raw", "POST", [("content-length", "5")], end=False)
        c.send(post, F.DataFrame(post.stream_id, b"he"), F.DataFrame(post.stream_id, b"llo", flags=["END_STREAM"]))
        assert b'"n":5' in c.answer(post.stream_id)[2]


def test_rapid_reset(server, source):
    """HB2: 100,000 pairs on one connection, which is closed when its budget is gone; in the end the address is out of budget too."""
    before = server.counters()
    with H2(server, source) as c:
        c.send(c.headers("/api/v1/slow?ms=2000"))
        block = c.headers("/api/v1/slow?ms=2000").data  # every field is in the table now
        pairs = [struct.pack(">I", len(block))[1:] + b"\x01\x05" + struct.pack(">I", i) + block + b"\0\0\4\3\0" + struct.pack(">II", i, 8)
                 for i in range(3, 200000, 2)]
        flood(c, pairs, batch=1000)
        assert c.end() in (None, 0xb), "out of budget, and still open"
    after = server.wait_for(lambda n: n["fibers"] == 0)
    assert after["started"] - before["started"] < 500
    # reconnecting is not free: the address is out of credit after a few rounds
    for _ in range(6):
        try:
            with H2(server, source) as c:
                c.send(c.headers("/api/v1/slow?ms=2000"))
                flood(c, pairs[:300], batch=300)
                c.end()
        except OSError:
            pass
    with pytest.raises((AssertionError, OSError)):
        assert H2(server, source).ask() is not None
    assert server.get("/api/v1/echo", source="127.9.9.9").status == 200


def test_slow_rapid_reset_in_later_packets(server, source):
    """The fiber has started when the reset comes: still charged, and the fiber is cancelled."""
    before = server.counters()
    with H2(server, source) as c:
        for i in range(400):
            h = c.headers("/api/v1/slow?ms=5000")
            try:
                c.send(h)
                time.sleep(0.002)
                c.send(F.RstStreamFrame(h.stream_id, error_code=8))
            except OSError:
                break
        assert i < 200
    after = server.wait_for(lambda n: n["fibers"] == 0)
    assert after["cancelled"] - before["cancelled"] >= 50


def test_made_you_reset(server, source):
    """The peer makes us reset: zero window updates, overflow, data on a closed half."""
    started = server.counters()["started"]
    with H2(server, source) as c:
        frames = []
        for i in range(3000):
            h = c.headers("/api/v1/slow?ms=3000")
            bad = (window(h.stream_id, 0), window(h.stream_id, 0x7fffffff), F.DataFrame(h.stream_id, b"x").serialize())[i % 3]
            frames.append(h.serialize() + bad)
        flood(c, frames)
        c.end()
    assert server.wait_for(lambda n: n["fibers"] == 0)["started"] - started < 500


@pytest.mark.parametrize("name", ["continuation", "empty continuation", "ping", "settings", "priority", "empty data", "unknown", "window", "rst"])
def test_floods_end_the_connection(server, source, name):
    with H2(server, source) as c:
        if "continuation" in name:
            h = F.HeadersFrame(1, c.encoder.encode([(":method", "GET"), (":scheme", "http"), (":path", "/api/v1/echo")]))
            c.send(h)
            block = b"" if name.startswith("empty") else b"\x00\x03x-a\x7f\x81\x07" + b"b" * 1000 + b"\x00" * 0
            frames = [F.ContinuationFrame(1, block).serialize()] * 20000
        else:
            c.send(c.headers("/api/v1/raw", "POST", end=False))
            frames = {
                "ping": [F.PingFrame(0, b"12345678").serialize()],
                "settings": [F.SettingsFrame(0).serialize()],
                "priority": [F.PriorityFrame(1, depends_on=0, stream_weight=3).serialize()],
                "empty data": [F.DataFrame(1, b"").serialize()],
                "unknown": [b"\0\0\4\x77\0\0\0\0\1abcd"],
                "window": [window(0, 1)],
                "rst": [F.RstStreamFrame(1, error_code=8).serialize()],
            }[name] * 20000
        reader = []
        t = threading.Thread(target=lambda: reader.append(c.end()))
        t.start()
        flood(c, frames)
        t.join(15)
        assert not t.is_alive(), "the connection is still open"
        assert reader[0] == 0xb
    assert server.alive()


def test_unread_pings_do_not_grow_memory(server, source):
    rss = server.rss_kib()
    with H2(server, source, rcvbuf=4096) as c:
        flood(c, [F.PingFrame(0, b"12345678").serialize()] * 900, batch=900)
        time.sleep(0.5)
        assert server.rss_kib() - rss < 4096


def block_of(c, n):
    """n copies of one indexed field after it was put into the dynamic table."""
    first = c.encoder.encode([(":method", "GET"), (":scheme", "http"), (":path", "/api/v1/echo"), (":authority", "t"), ("x-long", "v" * 3000)])
    return first + b"\xbe" * n


def test_header_bombs(server, source):
    rss = server.rss_kib()
    with H2(server, source) as c:
        f = F.HeadersFrame(1, block_of(c, 120))
        f.flags |= {"END_HEADERS", "END_STREAM"}
        c.send(f)
        assert c.answer(1)[0] == 431
        c.next_id = 3
        assert c.ask()[0] == 200  # HPACK state is intact
    with H2(server, source) as c:
        f = F.HeadersFrame(1, block_of(c, 3000))
        f.flags |= {"END_HEADERS", "END_STREAM"}
        c.send(f)
        assert c.answer(1) in (("goaway", 0xb), None)
    for _ in range(10):
        with H2(server, source) as c:  # a bomb in pieces of a frame each: 30,000 fields of 3 KiB from 30 KB
            block = block_of(c, 30000)
            first = F.HeadersFrame(1, block[:16000], flags=["END_STREAM"])
            pieces = [F.ContinuationFrame(1, block[at:at + 16000]) for at in range(16000, len(block), 16000)]
            pieces[-1].flags.add("END_HEADERS")
            c.send(first, *pieces)
            assert c.answer(1) == ("goaway", 0xb)
    with H2(server, source) as c:
        crumbs = [("cookie", f"a{i}=b") for i in range(101)]
        assert c.ask(extra=crumbs)[0] == 431
        assert c.ask(extra=crumbs[:90])[0] == 200
        assert c.ask(extra=[("x", "y" * 3500)] * 20)[0] == 431
    assert server.rss_kib() - rss < 4096


@pytest.mark.parametrize("fields,want", [(100, 200), (101, 431), (996, 431), (997, ("goaway", 0xb))])
def test_where_the_limits_of_a_head_are(server, source, fields, want):
    """HB5: 100 fields beside the four of the request, 1,000 in all before the connection ends."""
    with H2(server, source) as c:
        first = c.encoder.encode([(":method", "GET"), (":scheme", "http"), (":path", "/api/v1/echo"), (":authority", "t"), ("x-a", "b")])
        f = F.HeadersFrame(1, first + b"\xbe" * (fields - 1))
        f.flags |= {"END_HEADERS", "END_STREAM"}
        c.send(f)
        got = c.answer(1)
        assert (got if isinstance(want, tuple) else got[0]) == want


def bomb_of(path, count, size):
    """100 heads of `count` references to a field of `size` bytes, just within the limits, for answers that nobody takes."""
    def make(c):
        fields = [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "t"), ("cookie", "c" * size)]
        blocks = [c.encoder.encode(fields) + b"\xbe" * (count - 1) for _ in range(2)]
        return [F.HeadersFrame(2 * i + 1, blocks[i > 0], flags=["END_HEADERS", "END_STREAM"]) for i in range(100)]
    return make


@pytest.mark.skipif("asan" in BUILD.name, reason="its allocator keeps what was freed")
@pytest.mark.parametrize("name", ["refused", "echo", "slow"])
def test_memory_of_a_bomb_for_each_connection(start, name):
    """HB5: less than 2 MiB for each of twenty connections whose streams all hold what they can."""
    bombs = {"refused": bomb_of("/api/v1/echo", 120, 500), "echo": bomb_of("/api/v1/echo", 99, 560), "slow": bomb_of("/api/v1/slow?ms=60000", 99, 560)}
    server = start()
    for i in range(3):  # what the process keeps for good
        with H2(server, f"127.5.1.{i + 1}") as c:
            assert c.ask()[0] == 200
    rss, held = server.rss_kib(), []
    for i in range(20):
        c = H2(server, f"127.5.0.{i + 1}", settings={F.SettingsFrame.INITIAL_WINDOW_SIZE: 0})
        c.send(*bombs[name](c))
        held.append(c)
    time.sleep(1)
    for c in held:
        c.send(*[window(2 * i + 1, 1) for i in range(100)])
    time.sleep(1)
    assert server.counters()["conns"] == 21, "still connected, all of them"
    each = (server.rss_kib() - rss) / 20
    print(f"{name}: {each:.0f} KiB each")
    assert each < 2048
    for c in held:
        c.close()


@pytest.mark.parametrize("kw", [
    dict(extra=[("connection", "close")]), dict(extra=[("te", "gzip")]), dict(extra=[("transfer-encoding", "chunked")]),
    dict(extra=[("upgrade", "h2c")]), dict(extra=[("x-a", "b\r\nc")]), dict(extra=[("x-a", "b\0c")]), dict(extra=[("x\na", "b")]),
    dict(extra=[("X-Upper", "b")]), dict(extra=[("host", "other")]), dict(extra=[("host", "t"), ("host", "t")]), dict(authority="a b"),
    dict(authority="t/x"), dict(authority=""), dict(path="relative"), dict(path="/a b"), dict(path="/api/v1/../x"), dict(path=""),
    dict(extra=[("content-length", "5")]), dict(extra=[("content-length", "x")]), dict(extra=[(":path", "/twice")]), dict(authority=None)],
    ids=str)
def test_malformed_requests(server, source, kw):
    with H2(server, source) as c:
        got = c.ask(**kw)
        assert got is None or got[0] in ("reset", "goaway") or 400 <= got[0] < 500, got


def test_length_mismatch(server, source):
    with H2(server, source) as c:
        for promised, sent in ((5, b"hell"), (5, b"hello!")):
            h = c.headers("/api/v1/raw", "POST", [("content-length", str(promised))], end=False)
            c.send(h, F.DataFrame(h.stream_id, sent, flags=["END_STREAM"]))
            assert c.answer(h.stream_id)[0] == "reset"


def test_host_without_authority_counts(server, source):
    with H2(server, source) as c:
        status, _, body = c.ask(authority=None, extra=[("host", "t")])
        assert status == 200 and b'"authority":"t"' in body


def test_trailers_do_not_become_headers(server, source):
    with H2(server, source) as c:
        h = c.headers("/api/v1/me", "POST", [], end=False)
        t = F.HeadersFrame(h.stream_id, c.encoder.encode([("authorization", "Bearer alice")]))
        t.flags |= {"END_HEADERS", "END_STREAM"}
        c.send(h, t)
        assert c.answer(h.stream_id)[0] == 405
        h = c.headers("/api/v1/things", "POST", [("content-type", "application/json")], end=False)
        t.stream_id = h.stream_id
        c.send(h, F.DataFrame(h.stream_id, b'{"name":"a"}'), t)
        assert c.answer(h.stream_id)[0] == 401


def test_running_requests_per_connection_are_capped(server, source):
    started = server.counters()["started"]
    with H2(server, source) as c:
        c.send(*[c.headers("/api/v1/slow?ms=1500") for _ in range(90)])
        time.sleep(0.5)
        assert server.counters()["started"] - started == 32
    server.wait_for(lambda n: n["fibers"] == 0)


def test_zero_window_stream_dies_despite_drip(start):
    server = start({"DF_TEST_STALL_MS": "2000"})
    with H2(server, "127.0.0.1", settings={F.SettingsFrame.INITIAL_WINDOW_SIZE: 0}) as c:
        c.send(*[c.headers("/api/v1/big?n=1000000") for _ in range(20)])
        begun = time.time()
        try:
            while time.time() - begun < 8:
                c.send(*[window(i * 2 + 1, 1) for i in range(20)])
                time.sleep(0.3)
        except OSError:
            pass
        assert time.time() - begun < 7
    server.wait_for(lambda n: n["conns"] == 1)


def test_tiny_windows_buffer_little(start):
    """HB7: what an endless answer may have waiting is bounded for each stream, and the generator is not asked for more."""
    server = start()
    with H2(server, settings={F.SettingsFrame.INITIAL_WINDOW_SIZE: 1}) as c:
        rss = server.rss_kib()
        c.send(*[c.headers("/api/v1/flood") for _ in range(100)])
        for _ in range(10):
            c.send(*[window(i * 2 + 1, 1) for i in range(100)])
            time.sleep(0.2)
        assert server.alive()
        if "asan" not in BUILD.name:  # which keeps what was freed for a while
            assert server.rss_kib() - rss < 32 * 256 + 4096  # as many run as may run at a time
    server.wait_for(lambda n: n["fibers"] == 0 and n["conns"] == 1)


def test_defaults_of_a_connection(start):
    """HB9: 100 streams are offered, 64 connections of an address are taken."""
    server = start()
    with H2(server, "127.8.0.1") as c:
        f = c.frame()
        while not isinstance(f, F.SettingsFrame) or "ACK" in f.flags:
            f = c.frame()
        assert f.settings[F.SettingsFrame.MAX_CONCURRENT_STREAMS] == 100
    server.wait_for(lambda n: n["conns"] == 1)
    held = [H2(server, "127.8.0.1") for _ in range(64)]
    assert all(c.ask()[0] == 200 for c in held)
    with pytest.raises((AssertionError, OSError)):
        assert H2(server, "127.8.0.1").ask() is not None
    assert server.get("/api/v1/echo", source="127.8.0.2").status == 200
    for c in held:
        c.close()


def test_slow_upload_is_cut(server, source):
    with H2(server, source) as c:
        h = c.headers("/api/v1/raw", "POST", end=False)
        c.send(h)
        begun = time.time()
        try:
            while time.time() - begun < 16:
                c.send(F.DataFrame(h.stream_id, b"x" * 10))
                time.sleep(0.3)
        except OSError:
            pass
        assert 9 < time.time() - begun < 15


def test_idle_connection_gets_goaway(start):
    server = start({"DF_TEST_KEEPALIVE_MS": "1000"})
    with H2(server) as c:
        assert c.ask()[0] == 200
        begun = time.time()
        assert c.end() == 0 and time.time() - begun < 4


def test_client_leaving_cancels_the_handler(server, source):
    before = server.counters()["cancelled"]
    c = H2(server, source)
    c.send(c.headers("/api/v1/slow?ms=60000"))
    time.sleep(0.3)
    c.close()
    server.wait_for(lambda n: n["cancelled"] == before + 1 and n["fibers"] == 0)


@pytest.mark.parametrize("path", ["/api/v1/sse?n=3", "/api/v1/sse?n=0", "/api/v1/flood"])
def test_head_of_a_stream_is_its_header(server, source, path):
    before = server.wait_for(lambda n: n["fibers"] == 0)
    with H2(server, source) as c:
        for _ in range(20):
            status, headers, body = c.ask(path, "HEAD")
            assert status == 200 and headers["content-type"] == "text/event-stream" and body == b""
        assert c.ask()[0] == 200
    after = server.wait_for(lambda n: n["fibers"] == 0 and n["conns"] == 1)
    assert (0 if path.endswith("n=0") else 20) <= after["streamGone"] - before["streamGone"] <= 20
    assert after["arenas"] <= before["arenas"] + 2


def test_the_request_id_stays_out_of_the_header_table(server, source):
    """It never repeats: a place in the table would only push out what does."""
    with H2(server, source) as c:
        seen = [c.ask()[1] for _ in range(40)]
        assert len({h["x-request-id"] for h in seen}) == 40
        assert all(h["x-frame-options"] == "DENY" and "default-src 'none'" in h["content-security-policy"] for h in seen)
        kept = [name for name, _ in c.decoder.header_table.dynamic_entries]
        assert b"x-request-id" not in kept and kept.count(b"content-security-policy") == 1


def test_websocket_over_h2_is_501(server, source):
    with H2(server, source) as c:
        assert c.ask("/ws/v1/echo")[0] == 501
        got = c.ask("/ws/v1/echo", "CONNECT", [(":protocol", "websocket")])
        assert got is None or got[0] in ("goaway", "reset", 501, 400)
    assert server.alive()


def test_bad_preface_closes(server, source):
    with server.connect(source) as s:
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + b"\0" * 100)
        assert b"HTTP/1.1 200" not in s.recv(1000)


def test_a_stalled_answer_dies_after_half_a_minute(start):
    """HB5 with its number: a stream whose window grows a byte at a time is over after 30 s, drip or not, and with it what it held."""
    server = start()
    with H2(server, "127.5.2.1", settings={F.SettingsFrame.INITIAL_WINDOW_SIZE: 0}) as c:
        begun = time.time()
        c.send(*[c.headers("/api/v1/big?n=1000000") for _ in range(20)])
        with pytest.raises(OSError):
            while time.time() - begun < 60:
                c.send(*[window(i * 2 + 1, 1) for i in range(20)])
                time.sleep(0.5)
        assert time.time() - begun > 25
    server.wait_for(lambda n: n["fibers"] == 0 and n["conns"] == 1)
