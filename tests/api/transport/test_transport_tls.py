"""TLS: versions and ciphers, ALPN, stalls (TL1), certificate reload (TL2), leaks over TLS."""
import hashlib
import json
import os
import signal
import socket
import ssl
import time

import pytest

from conftest import parse, read_all


@pytest.fixture
def tls(start, pem):
    cert, key = pem("main")
    return start({"DF_TEST_HANDSHAKE_MS": "1500"}, tls=(cert, key)), cert, key


def context(**kw):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    c.set_alpn_protocols(kw.get("alpn", ["http/1.1"]))
    if "version" in kw:
        c.minimum_version = c.maximum_version = kw["version"]
    if "ciphers" in kw:
        c.set_ciphers(kw["ciphers"])
    return c


def ask(s, path="/api/v1/echo"):
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".encode())
    return parse(read_all(s))


def test_versions_and_ciphers(tls):
    server, _, _ = tls
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with server.connect_tls(context(version=version)) as s:
            answer = ask(s)
            assert answer.json["tls"] and answer.header("strict-transport-security")
    for kw in (dict(version=ssl.TLSVersion.TLSv1_1, ciphers="ALL:@SECLEVEL=0"), dict(version=ssl.TLSVersion.TLSv1, ciphers="ALL:@SECLEVEL=0"),
               dict(version=ssl.TLSVersion.TLSv1_2, ciphers="AES128-GCM-SHA256"), dict(version=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE-ECDSA-AES128-SHA"),
               dict(version=ssl.TLSVersion.TLSv1_2, ciphers="DHE-RSA-AES128-GCM-SHA256")):
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            server.connect_tls(context(**kw))


def test_alpn(tls):
    server, _, _ = tls
    with server.connect_tls(context(alpn=["h2", "http/1.1"])) as s:
        assert s.selected_alpn_protocol() == "h2"
    with server.connect_tls(context(alpn=["http/1.1"])) as s:
        assert s.selected_alpn_protocol() == "http/1.1"
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        server.connect_tls(context(alpn=["junk/9"]))


def test_handshake_stall_and_junk(tls):
    server, _, _ = tls
    with socket.create_connection(("127.0.0.1", server.tls_port), 10) as s:
        s.sendall(b"\x16\x03\x01\x02\x00")
        begun = time.time()
        assert read_all(s) == b"" and time.time() - begun < 5
    with socket.create_connection(("127.0.0.1", server.tls_port), 10) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        assert b"200" not in read_all(s)
    server.wait_for(lambda c: c["conns"] == 1)


def serial(server):
    with server.connect_tls(context()) as s:
        return hashlib.sha256(s.getpeercert(True)).hexdigest()


def reload(server, word):
    server.stderr()
    server.process.send_signal(signal.SIGHUP)
    end = time.time() + 5
    while time.time() < end:
        if any(word in line for line in server.stderr().splitlines()[-3:]):
            return
        time.sleep(0.05)
    raise AssertionError(server.stderr())


def test_certificate_reload(tls, pem):
    server, cert, key = tls
    first = serial(server)
    held = server.connect_tls(context())
    good = (cert.read_bytes(), key.read_bytes())
    other_cert, other_key = pem("other")
    cert.write_bytes(other_cert.read_bytes())  # half done: the key does not fit
    reload(server, "tls.reload_failed")
    assert serial(server) == first
    cert.write_bytes(good[0][:100])
    reload(server, "TLS_RELOAD_FAILED")
    assert serial(server) == first
    cert.write_bytes(other_cert.read_bytes())
    key.write_bytes(other_key.read_bytes())
    reload(server, "tls.reloaded")
    assert serial(server) != first
    assert ask(held).status == 200  # the old connection lives on
    held.close()


def test_expired_certificate_is_refused(start, pem, tls):
    server, cert, key = tls
    first = serial(server)
    old_cert, old_key = pem("expired", days=1, start="2020-01-01 00:00:00")
    cert.write_bytes(old_cert.read_bytes())
    key.write_bytes(old_key.read_bytes())
    reload(server, "tls.reload_failed")
    assert serial(server) == first


def test_resets_over_tls_leak_nothing(tls):
    server, _, _ = tls
    server.get("/api/v1/echo")
    fds = server.fds()
    for i in range(200):
        s = server.connect_tls(context())
        s.sendall(b"GET /api/v1/big?n=500000 HTTP/1.1\r\nHost: t\r\n\r\n")
        if i % 2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()  # with unread session tickets and data
    server.wait_for(lambda c: c["conns"] == 1 and c["fibers"] == 0, 15)
    assert server.fds() <= fds + 2


def test_large_uploads_over_tls_arrive(tls):
    server, _, _ = tls
    body = os.urandom(20 << 20)
    digest = hashlib.sha256(body).hexdigest()
    for _ in range(5):
        with server.connect_tls(context(), timeout=60) as s:
            s.sendall(f"POST /api/v1/raw HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            s.sendall(body)
            answer = parse(read_all(s))
            assert answer.status == 200 and json.loads(answer.body)["sha256"] == digest


def test_wrong_certificate_stops_the_start(start, pem, tmp_path):
    cert, key = pem("lonely")
    bad = tmp_path / "bad.key"
    bad.write_text("nonsense")
    with pytest.raises(RuntimeError, match="bad.key"):
        start(tls=(cert, bad))
