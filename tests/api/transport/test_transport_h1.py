"""HTTP/1: framing attacks (HA1, HA2), Host (HA3), slow peers (HA4), size limits (HA5), odd requests (HA6)."""
import socket
import time

import pytest

from conftest import parse, read_all, read_answer

OK = b"GET /api/v1/echo HTTP/1.1\r\nHost: t\r\n"


def exchange(server, data, half_close=True):
    with server.connect() as s:
        s.sendall(data)
        if half_close:
            s.shutdown(socket.SHUT_WR)
        return read_all(s)


POST = b"POST /api/v1/raw HTTP/1.1\r\nHost: t\r\n"
SMUGGLING = {
    "cl and te": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "te and cl": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhellox",
    "two equal lengths": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "length list": POST + b"Content-Length: 5,5\r\n\r\nhello",
    "length plus": POST + b"Content-Length: +5\r\n\r\nhello",
    "length minus": POST + b"Content-Length: -5\r\n\r\nhello",
    "length hex": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "length empty": POST + b"Content-Length:\r\n\r\nhello",
    "length space inside": POST + b"Content-Length: 5 5\r\n\r\nhello",
    "length huge": POST + b"Content-Length: 99999999999999999999\r\n\r\nhello",
    "length tab": POST + b"Content-Length: 5\t\r\n\r\nhello",
    "xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked tab": POST + b"Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n",
    "chunked tab before": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked quoted": POST + b"Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "gzip chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "double te": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "te in 1.0": POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "te empty": POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n",
    "space before colon": POST + b"Content-Length : 5\r\n\r\nhello",
    "tab before colon": POST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "bare lf": b"GET /api/v1/echo HTTP/1.1\nHost: t\r\n\r\n",
    "bare lf in headers": OK + b"X: y\nContent-Length: 3\r\n\r\nabc",
    "bare lf at the end": OK + b"X: y\r\n\n",
    "bare cr": OK + b"X: a\rb\r\n\r\n",
    "folded": OK + b"X: a\r\n b\r\n\r\n",
    "folded tab": OK + b"X: a\r\n\tb\r\n\r\n",
    "folded first": b"GET / HTTP/1.1\r\n Host: t\r\n\r\n",
    "nul in value": OK + b"X: a\0b\r\n\r\n",
    "nul in name": OK + b"X\0: a\r\n\r\n",
    "nul in path": b"GET /a\0b HTTP/1.1\r\nHost: t\r\n\r\n",
    "control in value": OK + b"X: a\x01b\r\n\r\n",
    "del in value": OK + b"X: a\x7fb\r\n\r\n",
    "empty name": OK + b": a\r\n\r\n",
    "no colon": OK + b"Xa\r\n\r\n",
    "high byte in name": OK + b"X\xe9: a\r\n\r\n",
    "parentheses in name": OK + b"X(): a\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": OK + b"Host: t\r\n\r\n",
    "two different hosts": OK + b"Host: u\r\n\r\n",
    "empty host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "host with path": b"GET / HTTP/1.1\r\nHost: t/x\r\n\r\n",
    "host with user": b"GET / HTTP/1.1\r\nHost: a@t\r\n\r\n",
    "host with space": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "host bad port": b"GET / HTTP/1.1\r\nHost: t:99999\r\n\r\n",
    "host empty port": b"GET / HTTP/1.1\r\nHost: t:\r\n\r\n",
    "host bad bracket": b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "absolute other": b"GET http://other/api/v1/echo HTTP/1.1\r\nHost: t\r\n\r\n",
    "absolute ftp": b"GET ftp://t/api/v1/echo HTTP/1.1\r\nHost: t\r\n\r\n",
    "no slash": b"GET api/v1/echo HTTP/1.1\r\nHost: t\r\n\r\n",
    "empty target": b"GET  HTTP/1.1\r\nHost: t\r\n\r\n",
    "two spaces": b"GET  /api/v1/echo HTTP/1.1\r\nHost: t\r\n\r\n",
    "version 1.2": b"GET /api/v1/echo HTTP/1.2\r\nHost: t\r\n\r\n",
    "version 0.9": b"GET /api/v1/echo\r\n\r\n",
    "version 2.0": b"GET /api/v1/echo HTTP/2.0\r\nHost: t\r\n\r\n",
    "version lower": b"GET /api/v1/echo http/1.1\r\nHost: t\r\n\r\n",
    "method brackets": b"G[T /api/v1/echo HTTP/1.1\r\nHost: t\r\n\r\n",
    "tls hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "junk": b"\xff\xfe\xfd\xfc\r\n\r\n",
}
# A second request hides in the body of each: it must never be answered
HIDDEN = b"GET /api/v1/echo?q=hidden HTTP/1.1\r\nHost: t\r\n\r\n"


@pytest.mark.parametrize("name", SMUGGLING)
def test_ambiguous_requests_get_400_and_close(server, name):
    answer = parse(exchange(server, SMUGGLING[name] + HIDDEN))
    assert answer.status == 400, answer.body
    assert b"hidden" not in answer.body + answer.rest
    assert b"HTTP/1.1 " not in answer.rest
    assert dict(answer.headers)["connection"] == "close"


CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
BAD_CHUNKS = {
    "lf in extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "bare lf after size": b"5\nhello\r\n0\r\n\r\n",
    "bare lf after data": b"5\r\nhello\n0\r\n\r\n",
    "double cr": b"5\r\nhello\r\r\n0\r\n\r\n",
    "17 digits": b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    "overflow": b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "space before size": b" 5\r\nhello\r\n0\r\n\r\n",
    "space after size": b"5 \r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "extension control": b"5;a=\x00\r\nhello\r\n0\r\n\r\n",
    "extension endless": b"5;" + b"a" * 200 + b"\r\nhello\r\n0\r\n\r\n",
    "data too long": b"4\r\nhello\r\n0\r\n\r\n",
    "trailer bare lf": b"5\r\nhello\r\n0\r\nA: b\n\r\n",
    "trailer folded": b"5\r\nhello\r\n0\r\n A: b\r\n\r\n",
    "trailer endless": b"5\r\nhello\r\n0\r\nA: " + b"x" * 9000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_malformed_chunks_get_400_and_close(server, name):
    answer = parse(exchange(server, CHUNKED + BAD_CHUNKS[name] + HIDDEN, half_close=False))
    assert answer.status == 400
    assert b"HTTP/1.1 " not in answer.rest


@pytest.mark.parametrize("chunks", [b"5\r\nhello\r\n0\r\n\r\n", b"5;a=b\r\nhello\r\n0\r\n\r\n", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
                                    b"005\r\nhello\r\n000\r\n\r\n", b"5\r\nhello\r\n0\r\nA: b\r\n\r\n"])
def test_good_chunks_pass_whole_and_byte_by_byte(server, chunks):
    for step in (len(CHUNKED + chunks), 1):
        with server.connect() as s:
            data = CHUNKED + chunks
            for i in range(0, len(data), step):
                s.sendall(data[i:i + step])
                if step == 1:
                    time.sleep(0.0005)
            answer = read_answer(s)
            assert answer.status == 200 and answer.json["n"] == 5
            s.sendall(OK + b"\r\n")  # framing is intact
            assert read_answer(s).status == 200


def test_trailers_do_not_become_headers(server):
    with server.connect() as s:
        s.sendall(b"POST /api/v1/raw HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n"
                  b"0\r\nAuthorization: Bearer alice\r\n\r\n")
        assert read_answer(s).json["n"] == 0


def test_absolute_form_with_the_same_host_is_a_plain_request(server):
    answer = parse(exchange(server, b"GET http://t/api/v1/echo?q=1 HTTP/1.1\r\nHost: t\r\n\r\n"))
    assert answer.status == 200 and answer.json["path"] == "/api/v1/echo" and answer.json["q"] == "1"


def test_unknown_authority_is_421(start):
    server = start({"DF_TEST_HOSTS": "df.example localhost"})
    for host, status in (("df.example", 200), ("DF.example:8443", 200), ("localhost:1", 200), ("evil.example", 421)):
        data = f"GET /api/v1/echo HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        assert parse(exchange(server, data)).status == status


def test_expect(server):
    with server.connect() as s:
        s.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert s.recv(1000).startswith(b"HTTP/1.1 100 ")
        s.sendall(b"hello")
        assert read_answer(s).status == 200
    for body in (b"Content-Length: 5\r\n\r\nhello", b"\r\n"):
        assert parse(exchange(server, POST + b"Expect: 200-maybe\r\n" + body)).status == 417


LIMITS = {
    "large head": (OK + b"X: " + b"a" * 70000 + b"\r\n\r\n", 431),
    "102 fields": (OK + b"".join(b"X-%d: a\r\n" % i for i in range(101)) + b"\r\n", 431),
    "just fits": (OK + b"X: " + b"a" * 60000 + b"\r\n\r\n", 200),
    "100 fields": (OK + b"".join(b"X-%d: a\r\n" % i for i in range(99)) + b"\r\n", 200),
    "long path": (b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: t\r\n\r\n", 414),
    "long query": (b"GET /api/v1/echo?q=" + b"a" * 8192 + b" HTTP/1.1\r\nHost: t\r\n\r\n", 414),
    "endless path": (b"GET /" + b"a" * 100000, 414),
    "endless head": (OK + b"X: " + b"a" * 500000, 431),
    "announced body": (POST + b"Content-Length: 30000000\r\n\r\n", 413),
    "json body": (b"POST /api/v1/things HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                  b"Content-Length: 1048577\r\n\r\n" + b"x" * 1048577, 413),
}


@pytest.mark.parametrize("name", LIMITS)
def test_size_limits(server, name):
    data, status = LIMITS[name]
    with server.connect() as s:
        s.sendall(data)
        assert read_answer(s).status == status


def test_methods(server):
    assert parse(exchange(server, b"CONNECT t:443 HTTP/1.1\r\nHost: t:443\r\n\r\n")).status == 501
    trace = parse(exchange(server, b"TRACE /api/v1/echo HTTP/1.1\r\nHost: t\r\n\r\n"))
    assert trace.status == 405 and trace.header("allow") == "GET, HEAD, OPTIONS"
    assert parse(exchange(server, b"BREW /api/v1/nope HTTP/1.1\r\nHost: t\r\n\r\n")).status == 501
    over = parse(exchange(server, OK.replace(b"GET", b"POST") + b"X-HTTP-Method-Override: GET\r\n\r\n"))
    assert over.status == 405
    head = parse(exchange(server, b"HEAD /api/v1/echo HTTP/1.1\r\nHost: t\r\n\r\n"))
    assert head.status == 200 and int(head.header("content-length")) > 0 and head.rest == b""


def test_h2c_upgrade_is_ignored(server):
    answer = parse(exchange(server, OK + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAA\r\n\r\n"))
    assert answer.status == 200 and not answer.json["http2"]


def test_preface_after_a_request_is_refused(server):
    data = exchange(server, OK + b"\r\n" + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    first = parse(data)
    assert first.status == 200 and parse(first.rest).status == 400


def test_thousand_pipelined_requests_are_answered_in_order(server):
    n = 1000
    data = b"".join(b"GET /api/v1/echo?q=%d HTTP/1.1\r\nHost: t\r\n\r\n" % i for i in range(n))
    with server.connect(timeout=30) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        rest = read_all(s)
    for i in range(n):
        answer = parse(rest)
        assert answer.status == 200 and answer.json["q"] == str(i)
        rest = answer.rest
    assert rest == b""


def test_answer_to_an_oversized_upload_arrives(server):
    """The body is still coming when the answer is known: no reset may overtake it."""
    for _ in range(10):
        with server.connect() as s:
            s.sendall(POST + b"Content-Length: 40000000\r\n\r\n")
            try:
                for _ in range(64):
                    s.sendall(b"x" * 65536)
            except (BrokenPipeError, ConnectionResetError):
                pass
            assert parse(read_all(s)).status == 413


def test_slow_head_gets_408(start):
    server = start({"DF_TEST_HEAD_MS": "1000"})
    with server.connect() as s:
        s.sendall(b"GET /api/v1/echo HTTP/1.1\r\n")
        begun = time.time()
        try:
            for _ in range(50):
                time.sleep(0.1)
                s.sendall(b"X")
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert time.time() - begun < 4
    with server.connect() as s:
        s.sendall(b"GET /api/v1/echo HTTP/1.1\r\nHo")
        assert parse(read_all(s)).status == 408
    with server.connect() as s:  # says nothing at all
        assert read_all(s) == b""


def test_slow_body_gets_408(server):
    with server.connect(timeout=20) as s:
        s.sendall(POST + b"Content-Length: 100000\r\n\r\nabc")
        begun = time.time()
        answer = parse(read_all(s))
        assert answer.status == 408 and 9 < time.time() - begun < 14


def test_slow_reader_is_cut(start):
    server = start({"DF_TEST_STALL_MS": "1500"})
    with server.connect(rcvbuf=4096) as s:
        s.sendall(b"GET /api/v1/big?n=30000000 HTTP/1.1\r\nHost: t\r\n\r\n")
        server.wait_for(lambda c: c["conns"] == 1, 8)  # only our own counters request is left
    assert server.alive()


def test_keep_alive_ends(start):
    server = start({"DF_TEST_KEEPALIVE_MS": "1000"})
    with server.connect() as s:
        s.sendall(OK + b"\r\n")
        assert read_answer(s).status == 200
        begun = time.time()
        assert s.recv(1) == b"" and time.time() - begun < 4


def test_connections_per_address_are_capped(start):
    server = start({"DF_TEST_MAX_CONNS_PEER": "8"})
    held = [server.connect("127.3.0.1") for _ in range(8)]
    for s in held:
        s.sendall(OK + b"\r\n")
        assert read_answer(s).status == 200
    with server.connect("127.3.0.1") as s:
        assert read_all(s) == b""
    with server.connect("127.3.0.2") as s:
        s.sendall(OK + b"\r\n")
        assert read_answer(s).status == 200
    for s in held:
        s.close()


def test_resets_leak_nothing(server):
    before = server.fds()
    for i in range(300):
        s = server.connect()
        s.sendall((OK + b"\r\n") if i % 3 else b"GET /api/v1/slow?ms=50 HTTP/1.1\r\nHost: t\r\n\r\n")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()
    server.wait_for(lambda c: c["conns"] == 1 and c["fibers"] == 0)
    assert server.fds() <= before + 2
