"""Raw-socket tests of the transport against df-testserver. DF_BUILD_DIR names the build directory (default build/dev)."""
import itertools
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import time

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))  # what both suites use
ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("DF_BUILD_DIR", ROOT / "build" / "dev"))
PROGRAM = BUILD / "df-testserver"
_source = itertools.count(2)


class Server:
    def __init__(self, env=None, tls=None, wrapper=()):
        settings = {k: v for k, v in os.environ.items() if not k.startswith("DF_TEST_")}
        settings.update(env or {})
        if tls:
            settings["DF_TEST_CERT"], settings["DF_TEST_KEY"] = map(str, tls)
        self.log = []
        self.process = subprocess.Popen([*wrapper, str(PROGRAM)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=settings)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.process.stderr.read().decode())
        ports = json.loads(line)
        self.port, self.tls_port = ports["port"], ports["tls"]
        os.set_blocking(self.process.stderr.fileno(), False)

    def connect(self, source=None, timeout=10, rcvbuf=None):
        s = socket.socket()
        if rcvbuf:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        s.bind((source or "127.0.0.1", 0))
        s.settimeout(timeout)
        s.connect(("127.0.0.1", self.port))
        return s

    def connect_tls(self, context, timeout=10, hostname="localhost"):
        s = socket.create_connection(("127.0.0.1", self.tls_port), timeout)
        return context.wrap_socket(s, server_hostname=hostname)

    def get(self, path, headers=(), method="GET", body=None, source=None):
        with self.connect(source) as s:
            head = f"{method} {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n"
            if body is not None:
                head += f"Content-Length: {len(body)}\r\n"
            for name, value in headers:
                head += f"{name}: {value}\r\n"
            s.sendall(head.encode() + b"\r\n" + (body or b""))
            return parse(read_all(s))

    def counters(self):
        return self.get("/api/v1/counters", source="127.255.0.1").json

    def wait_for(self, check, seconds=10):
        end = time.time() + seconds
        while time.time() < end:
            c = self.counters()
            if check(c):
                return c
            time.sleep(0.05)
        raise AssertionError(f"never true: {c}")

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stderr(self):
        data = self.process.stderr.read()
        if data:
            self.log.append(data.decode())
        return "".join(self.log)

    def alive(self):
        return self.process.poll() is None

    def stop(self, expect=0, signalled=False):
        if self.alive() and not signalled:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(35)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        os.set_blocking(self.process.stderr.fileno(), True)
        self.log.append(self.process.stderr.read().decode())
        assert code == expect, f"exit {code}:\n{self.stderr_text()[-4000:]}"

    def stderr_text(self):
        return "".join(self.log)


class Answer:
    def __init__(self, status, headers, body, rest=b""):
        self.status, self.headers, self.body, self.rest = status, headers, body, rest

    def header(self, name):
        return next((v for k, v in self.headers if k == name.lower()), None)

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["error"]["code"]


def read_all(s):
    data = b""
    try:
        while chunk := s.recv(65536):
            data += chunk
    except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
        pass
    return data


def parse(data):
    """One HTTP/1.1 answer; what follows is in .rest."""
    assert data, "no answer"
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split()[1])
    headers = [(n.lower(), v.strip()) for n, _, v in (line.partition(":") for line in lines[1:])]
    names = dict(headers)
    if names.get("transfer-encoding") == "chunked":
        body = b""
        while True:
            size, _, rest = rest.partition(b"\r\n")
            n = int(size, 16)
            if n == 0:
                return Answer(status, headers, body, rest[2:])
            body, rest = body + rest[:n], rest[n + 2:]
    n = int(names["content-length"]) if "content-length" in names else len(rest) if status not in (204, 304, 101) else 0
    return Answer(status, headers, rest[:n], rest[n:])


def read_answer(s):
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = s.recv(65536)
        assert chunk, f"closed early: {data!r}"
        data += chunk
    head = data.partition(b"\r\n\r\n")[0].decode("latin-1").lower()
    n = 0
    for line in head.split("\r\n"):
        if line.startswith("content-length:"):
            n = int(line.split(":")[1])
    while len(data) < len(head) + 4 + n:
        data += s.recv(65536)
    return parse(data)


@pytest.fixture(scope="module")
def server():
    s = Server()
    yield s
    assert s.alive(), s.stderr()
    s.stop()


@pytest.fixture
def source():
    """A loopback address of the test's own: credit and connection limits are per address."""
    n = next(_source)
    return f"127.1.{n // 250}.{n % 250 + 1}"


@pytest.fixture
def start():
    running = []

    def go(env=None, **kw):
        running.append(Server(env, **kw))
        return running[-1]
    yield go
    for s in running:
        if s.alive():
            s.stop()


@pytest.fixture(scope="session")
def pem(tmp_path_factory):
    """Self-signed certificates: pem(name, days, cn) -> (cert, key)."""
    folder = tmp_path_factory.mktemp("pem")

    def make(name, days=10, cn="localhost", start=None):
        cert, key = folder / f"{name}.crt", folder / f"{name}.key"
        cmd = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key),
               "-out", str(cert), "-subj", f"/CN={cn}", "-addext", f"subjectAltName=DNS:{cn}", "-days", str(days)]
        if start:
            cmd = ["faketime", start, *cmd]
        subprocess.run(cmd, check=True, capture_output=True)
        return cert, key
    return make
