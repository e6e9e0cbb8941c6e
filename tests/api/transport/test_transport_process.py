"""Drain and exit (PR6), descriptor exhaustion (PR4), log hygiene (TK12)."""
import os
import signal
import socket
import struct
import subprocess
import time

from conftest import Server, parse, read_all, read_answer
from test_transport_h2 import H2
from test_transport_ws import Ws
from hyperframe import frame as F


def test_drain(start):
    server = start({"DF_TEST_DRAIN_MS": "8000"})
    slow = [server.connect(f"127.6.0.{i % 20 + 1}") for i in range(200)]
    for s in slow:
        s.sendall(b"GET /api/v1/slow?ms=2000 HTTP/1.1\r\nHost: t\r\n\r\n")
    idle = server.connect()
    idle.sendall(b"GET /api/v1/echo HTTP/1.1\r\nHost: t\r\n\r\n")
    read_answer(idle)
    sockets = [Ws(server, source=f"127.6.1.{i % 10 + 1}", headers=(("Authorization", "Bearer alice"),)) for i in range(10)]
    h2 = H2(server, "127.6.2.1")
    assert h2.ask()[0] == 200
    begun = time.time()
    server.process.send_signal(signal.SIGTERM)
    for w in sockets:
        assert w.close_code() == 1012
        w.send(8, struct.pack(">H", 1012))
    f = h2.frame()
    while not isinstance(f, F.GoAwayFrame):
        f = h2.frame()
    assert f.error_code == 0
    assert idle.recv(10) == b""
    for s in slow:
        answer = parse(read_all(s))
        assert answer.status == 200 and answer.header("connection") == "close"
    server.stop(signalled=True)
    assert time.time() - begun < 8
    h2.close()


def test_new_connections_and_readiness_during_drain(start):
    server = start({"DF_TEST_DRAIN_MS": "5000"})
    probe = H2(server)
    assert probe.ask("/health/ready")[0] == 200
    slow = server.connect("127.0.0.3")
    slow.sendall(b"GET /api/v1/slow?ms=1500 HTTP/1.1\r\nHost: t\r\n\r\n")
    time.sleep(0.2)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert probe.ask("/health/ready")[0] == 503
    assert probe.ask("/health/live")[0] == 200
    assert probe.ask("/api/v1/echo")[0] == 503
    try:
        server.connect(timeout=1).close()
        raise AssertionError("still accepting")
    except OSError:
        pass
    assert parse(read_all(slow)).status == 200
    server.stop(signalled=True)


def test_drain_deadline_cuts_stragglers(start):
    server = start({"DF_TEST_DRAIN_MS": "1500"})
    s = server.connect()
    s.sendall(b"GET /api/v1/slow?ms=60000 HTTP/1.1\r\nHost: t\r\n\r\n")
    time.sleep(0.2)
    begun = time.time()
    server.stop()
    assert time.time() - begun < 6
    s.close()


def test_second_signal_exits_at_once(start):
    server = start()
    s = server.connect()
    s.sendall(b"GET /api/v1/slow?ms=60000 HTTP/1.1\r\nHost: t\r\n\r\n")
    time.sleep(0.2)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    server.process.send_signal(signal.SIGTERM)
    begun = time.time()
    assert server.process.wait(3) == 130 and time.time() - begun < 1


def test_a_part_that_never_stops_does_not_hold_the_end_up(start):
    server = start({"DF_TEST_DRAIN_MS": "100", "DF_TEST_HANG": "1"})
    server.process.send_signal(signal.SIGTERM)
    server.stop(expect=130, signalled=True)
    assert "the end takes too long" in server.stderr_text()


def test_second_signal_also_ends_a_stop_that_hangs(start):
    server = start({"DF_TEST_DRAIN_MS": "100", "DF_TEST_HANG": "1"})
    server.process.send_signal(signal.SIGTERM)
    until = time.time() + 5
    while "drain.done" not in server.stderr() and time.time() < until:
        time.sleep(0.02)
    server.process.send_signal(signal.SIGTERM)
    server.stop(expect=130, signalled=True)
    assert "the end takes too long" not in server.stderr_text()


def test_few_descriptors(start):
    server = start({"DF_TEST_MAX_CONNS_PEER": "1000"}, wrapper=("prlimit", "--nofile=128"))
    held = []
    for i in range(300):
        try:
            held.append(server.connect(f"127.7.0.{i % 100 + 1}", timeout=2))
        except OSError:
            break
    time.sleep(0.5)
    assert server.alive()
    assert server.fds() <= 120, "descriptors are left for the rest of the product"
    for s in held:
        s.close()
    time.sleep(0.5)
    assert server.get("/api/v1/echo").status == 200


def test_canaries_stay_out_of_the_log(start):
    server = start({"DF_TEST_ACCESS_LOG": "1"})
    canary = "CANARY0123456789"
    server.get(f"/api/v1/echo?q={canary}")
    server.get(f"/api/v1/echo?token={canary}")
    server.get("/api/v1/me", [("Authorization", f"Bearer {canary}")])
    server.get("/api/v1/me", [("Cookie", f"df_session={canary}")])
    server.get("/api/v1/echo", [("Referer", f"http://x/?{canary}")])
    server.get("/api/v1/boom")
    server.stop()
    assert canary not in server.stderr_text() and "http.request" in server.stderr_text()


def test_symbols_stay_inside():
    from conftest import PROGRAM
    out = subprocess.run(["nm", "-D", "--defined-only", str(PROGRAM)], capture_output=True, text=True, check=True).stdout
    assert not [line for line in out.splitlines() if line.split()[-1].startswith(("SSL_", "EVP_", "h2o_", "phr_", "RSA_", "X509_"))]
