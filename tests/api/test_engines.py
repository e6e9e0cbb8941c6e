"""Engines over TCP with TLS (TL3), and engines that are away or hang (DK1, DK3): a real dockerd of this module's own, with a CA,
server and client certificates made here."""
import asyncio
import contextlib
import datetime
import ipaddress
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import conftest
import test_streams
from conftest import code, free_port, unique
from live import IMAGE, Docker, application, ended, until

DAY = datetime.timedelta(days=1)
UNREACHABLE_S = 15  # DK1


# ---- certificates -----------------------------------------------------------------------------------

class Cert:
    """A certificate with its key; self-signed without an issuer."""

    def __init__(self, name, issuer=None, sans=(), usage=None, start=-DAY, end=2 * DAY):
        self.own = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow()
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        b = (x509.CertificateBuilder().subject_name(self.subject).issuer_name(issuer.subject if issuer else self.subject)
             .public_key(self.own.public_key()).serial_number(x509.random_serial_number())
             .not_valid_before(now + start).not_valid_after(now + end)
             .add_extension(x509.BasicConstraints(ca=usage is None, path_length=None), critical=True))
        if sans:
            b = b.add_extension(x509.SubjectAlternativeName(list(sans)), critical=False)
        if usage:
            b = b.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        pem = serialization.Encoding.PEM
        self.pem = b.sign(issuer.own if issuer else self.own, hashes.SHA256()).public_bytes(pem).decode()
        self.key = self.own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()

    def write(self, folder, name):
        paths = folder / f"{name}.pem", folder / f"{name}-key.pem"
        for path, text in zip(paths, (self.pem, self.key)):
            path.write_text(text)
        return tuple(map(str, paths))


LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


class Engine:
    """dockerd --tlsverify on loopback, started by the lab's own function."""

    def __init__(self, folder):
        self.folder, self.port = pathlib.Path(folder), free_port()
        self.ca, self.other_ca = Cert("engine CA"), Cert("some other CA")
        self.cert = Cert("engine", self.ca, (LOOPBACK, x509.DNSName("engine.test")), SERVER)
        self.client = Cert("dockflow", self.ca, usage=CLIENT)
        cert, key = self.cert.write(self.folder, "server")
        ca, _ = self.ca.write(self.folder, "ca")
        self.args = f"--host tcp://0.0.0.0:{self.port} --tlsverify --tlscacert {ca} --tlscert {cert} --tlskey {key}"
        self.docker = Docker(f"unix://{folder}/docker/docker.sock")
        self.url = f"tcp://127.0.0.1:{self.port}"

    def lab(self, command):
        conftest.lab(f"unset DOCKER_HOST; export DF_LAB_DOCKERD_ARGS='{self.args}'; lab_init {self.folder}; {command}")

    def start(self):
        self.lab(f"lab_docker_start >&2; lab_image_busybox {IMAGE}")

    def stop(self):
        self.lab("lab_docker_stop")

    def signal(self, number):
        os.kill(int((self.folder / "docker/pid").read_text()), number)

    def kill(self):
        """Its containerd dies with it; where nobody reaps orphans that one's pid still looks alive to the next engine."""
        self.signal(signal.SIGKILL)
        time.sleep(0.3)
        for name in ("pid", "exec/containerd/containerd.pid"):
            (self.folder / "docker" / name).unlink(missing_ok=True)

    def tls(self, **change):
        given = {"ca": self.ca.pem, "cert": self.client.pem, "key": self.client.key, **change}
        return {k: v for k, v in given.items() if v is not None}


@pytest.fixture(scope="module")
def engine(docker_host):
    folder = tempfile.mkdtemp(prefix="dftls-", dir="/tmp")
    e = Engine(folder)
    try:
        e.start()
        yield e
    finally:
        e.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def add_node(owner):
    made = []

    def add(url, tls):
        made.append(owner.make("/nodes", {"name": unique("tls"), "url": url, "tls": tls}))
        return made[-1]

    yield add
    for n in made:
        owner.delete(f"/nodes/{n['id']}", owner.get(f"/nodes/{n['id']}")["version"], expect=204)


@pytest.fixture
def tls_node(owner, engine, add_node):
    n = add_node(engine.url, engine.tls())
    return until(lambda: (x := owner.get(f"/nodes/{n['id']}"))["state"] == "online" and x, what="the TLS node")


def restart(api, container):
    return api.call("POST", f"/containers/{container}/restart?t=1")


# ---- an engine that answers -------------------------------------------------------------------------

COMPOSE = """
services:
  web:
    image: busybox:local
    command: ["sh", "-c", "trap 'exit 0' TERM; i=0; while :; do i=$$((i+1)); echo line $$i; sleep 0.05; done"]
    stop_grace_period: 1s
    configs: [{source: app, target: /app.conf}]
configs:
  app: {file: ./app.conf}
"""


@pytest.fixture
def deployed(owner, engine, tls_node, make_app):
    app, _ = make_app({"compose.yaml": COMPOSE, "app.conf": "setting = far\n"}, nodeId=tls_node["id"])
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    yield app, f"{app['projectName']}-web-1"
    current = owner.call("GET", f"/applications/{app['id']}")
    if current.status_code == 200:
        owner.delete(f"/applications/{app['id']}", current.json()["version"])
    engine.docker.sweep(app["projectName"])


def test_negotiation_and_test(owner, engine, tls_node):
    version = engine.docker("version", "--format", "{{.Server.Version}} {{.Server.APIVersion}}").split()
    assert [tls_node["engine"]["version"], tls_node["engine"]["apiVersion"]] == version and tls_node["tls"] is True
    tested = owner.post(f"/nodes/{tls_node['id']}/test", expect=200).json()
    assert tested["ok"] is True and tested["error"] is None and tested["images"] >= 1


def test_an_application_on_it(owner, engine, docker, tls_node, deployed):
    app, name = deployed
    application(owner, app, sync="Synced", health="Healthy")
    assert engine.docker.running(app["projectName"]) == [name] and docker.containers(app["projectName"]) == {}
    assert engine.docker("exec", name, "cat", "/app.conf") == "setting = far"
    seen = until(lambda: owner.all("/containers", name=name))
    assert seen[0]["node"]["id"] == tls_node["id"]

    async def logs():
        async with test_streams.connect(owner, f"/ws/v1/containers/{name}/logs?tail=5") as ws:
            return await test_streams.collect(ws, lambda f: len(test_streams.numbers(test_streams.lines(f))) >= 40)

    got = test_streams.numbers(test_streams.lines(asyncio.run(logs())))
    assert got == list(range(got[0], got[0] + len(got)))
    before = engine.docker.inspect(name)["State"]["StartedAt"]
    assert restart(owner, name).status_code == 204
    assert engine.docker.inspect(name)["State"]["StartedAt"] > before


def test_self_heal_hears_its_events(owner, engine, tls_node, deployed):
    app, name = deployed
    application(owner, app, sync="Synced")
    engine.docker("rm", "-f", name)
    application(owner, app, sync="OutOfSync")


def test_another_name_that_is_told(owner, engine, add_node):
    """serverName is what the certificate has to say, not what is dialled."""
    n = add_node(f"tcp://localhost:{engine.port}", engine.tls(serverName="engine.test"))
    assert owner.post(f"/nodes/{n['id']}/test", expect=200).json()["ok"] is True


# ---- engines that are not who they say --------------------------------------------------------------

class Front:
    """A TLS server with a certificate of the test's choice before the engine's socket; keeps what it was told."""

    def __init__(self, engine, cert, only=None, port=0):
        self.heard, self.engine = b"", engine
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if only:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = only
        context.load_cert_chain(*cert.write(engine.folder, unique("front")))
        self.listener = socket.create_server(("127.0.0.1", port))
        self.url = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.context = context
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), raw:
                raw.settimeout(10)
                with self.context.wrap_socket(raw, server_side=True) as s:
                    self.heard += s.recv(1000)


def refused(owner, node):
    """The test of the node says why, and so does its state."""
    tested = owner.post(f"/nodes/{node['id']}/test", expect=200).json()
    assert tested["ok"] is False and tested["error"]["code"] == "TLS_VERIFY_FAILED", tested
    down = until(lambda: (x := owner.get(f"/nodes/{node['id']}"))["state"] == "unreachable" and x)
    assert down["engine"] is None and "TLS" in down["stateReason"], down


def test_wrong_ca(owner, engine, add_node):
    refused(owner, add_node(engine.url, engine.tls(ca=engine.other_ca.pem)))


def test_wrong_host_name(owner, engine, add_node):
    refused(owner, add_node(f"tcp://localhost:{engine.port}", engine.tls()))
    refused(owner, add_node(engine.url, engine.tls(serverName="elsewhere.test")))


def test_wrong_address(owner, engine, add_node):
    refused(owner, add_node(f"tcp://127.0.0.2:{engine.port}", engine.tls()))


@pytest.mark.parametrize("tls", [{"cert": None, "key": None}, "other"], ids=["none", "of another CA"])
def test_client_certificate(owner, engine, add_node, tls):
    if tls == "other":
        stranger = Cert("stranger", engine.other_ca, usage=CLIENT)
        tls = {"cert": stranger.pem, "key": stranger.key}
    n = add_node(engine.url, engine.tls(**tls))
    for _ in range(10):  # the refusal comes after the handshake, together with the end of the connection
        refused(owner, n)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("what", ["expired", "not yet valid", "self-signed", "a client's", "TLS 1.1"])
def test_certificates_that_are_no_good(owner, engine, add_node, what):
    cert = {"expired": lambda: Cert("engine", engine.ca, (LOOPBACK,), SERVER, -2 * DAY, -DAY),
            "not yet valid": lambda: Cert("engine", engine.ca, (LOOPBACK,), SERVER, DAY, 2 * DAY),
            "self-signed": lambda: Cert("engine", None, (LOOPBACK,), SERVER),
            "a client's": lambda: Cert("engine", engine.ca, (LOOPBACK,), CLIENT),
            "TLS 1.1": lambda: engine.cert}[what]()
    front = Front(engine, cert, ssl.TLSVersion.TLSv1_1 if what == "TLS 1.1" else None)
    try:
        refused(owner, add_node(front.url, engine.tls()))
        assert front.heard == b""
    finally:
        front.listener.close()


def test_what_is_asked_of_it_is_a_502(owner, engine, add_node, make_app):
    """A plan needs the engine; nothing stands in for a certificate that does not fit, and no setting skips the check."""
    n = add_node(engine.url, engine.tls(ca=engine.other_ca.pem))
    app, _ = make_app(nodeId=n["id"])
    r = owner.post(f"/applications/{app['id']}/sync", {"dryRun": True})
    assert (r.status_code, code(r)) == (502, "TLS_VERIFY_FAILED"), r.text
    for more in ({"skipVerify": True}, {"insecure": True}):
        assert owner.post("/nodes", {"name": unique("n"), "url": engine.url, "tls": engine.tls(**more)}).status_code == 400


class Relay:
    """A wire to the engine that can be cut; what comes while it is shut waits."""

    def __init__(self, engine):
        self.engine, self.open, self.passes = engine, [], threading.Event()
        self.passes.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                near = self.listener.accept()[0]
                self.open.append(near)
                self.passes.wait()
                pair = near, socket.create_connection(("127.0.0.1", self.engine.port))
                self.open.append(pair[1])
                for one, other in (pair, pair[::-1]):
                    threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    @staticmethod
    def pump(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for s in (source, target):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def cut(self):
        for s in (self.listener, *self.open):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        for s in (self.listener, *self.open):
            s.close()


def test_a_known_engine_that_becomes_somebody_else(owner, engine, add_node):
    """TL4: the same address answers with another authority's certificate. No command is sent there."""
    name, relay = unique("swap"), Relay(engine)
    engine.docker("run", "-d", "--init", "--name", name, IMAGE, "sleep", "10000")
    n = add_node(f"tcp://127.0.0.1:{relay.port}", engine.tls())
    try:
        key = until(lambda: owner.all(f"/nodes/{n['id']}/containers", name=name))[0]["id"]
        begun = engine.docker.inspect(name)["State"]["StartedAt"]
    finally:
        relay.cut()
    front = Front(engine, Cert("engine", engine.other_ca, (LOOPBACK,), SERVER), port=relay.port)
    try:
        until(lambda: (x := owner.get(f"/nodes/{n['id']}"))["state"] == "unreachable" and "TLS" in x["stateReason"], 40)
        for method, path in (("GET", ""), ("GET", "/logs"), ("POST", "/restart")):
            r = owner.call(method, f"/containers/{key}{path}")
            assert (r.status_code, code(r)) == (502, "TLS_VERIFY_FAILED"), (method, path, r.text)
        assert front.heard == b"" and engine.docker.inspect(name)["State"]["StartedAt"] == begun
    finally:
        front.listener.close()
        engine.docker("rm", "-f", name)


# ---- engines that are away --------------------------------------------------------------------------

def others_are_normal(owner, docker, name):
    assert restart(owner, name).status_code == 204
    assert owner.call("GET", "/containers", params={"name": name}).status_code == 200


@pytest.fixture
def at_home(docker, owner):
    name = unique("home")
    docker("run", "-d", "--init", "--name", name, IMAGE, "sleep", "10000")
    until(lambda: owner.all("/containers", name=name))
    yield name
    docker("rm", "-f", name)


def test_gone_and_back(owner, engine, docker, tls_node, deployed, at_home):
    """DK1: kill -9 of the engine."""
    _, name = deployed
    until(lambda: owner.all("/containers", name=name))
    engine.kill()
    r = restart(owner, name)
    assert (r.status_code, code(r)) == (503, "DOCKER_UNAVAILABLE"), r.text
    until(lambda: owner.get(f"/nodes/{tls_node['id']}")["state"] == "unreachable", UNREACHABLE_S)
    others_are_normal(owner, docker, at_home)
    r = owner.call("GET", f"/containers/{name}/logs")
    assert (r.status_code, code(r)) == (503, "DOCKER_UNAVAILABLE"), r.text
    engine.start()
    until(lambda: owner.get(f"/nodes/{tls_node['id']}")["state"] == "online", 40)


def test_hangs_and_goes_on(owner, engine, docker, tls_node, deployed, at_home):
    """DK3: SIGSTOP. Calls end, the state tells, the others do not notice; afterwards all is as before."""
    app, name = deployed
    until(lambda: owner.all("/containers", name=name))
    engine.signal(signal.SIGSTOP)
    try:
        last = owner.get(f"/nodes/{tls_node['id']}")["lastSeenAt"]
        down = until(lambda: (x := owner.get(f"/nodes/{tls_node['id']}"))["state"] == "unreachable" and x, UNREACHABLE_S)
        assert down["lastSeenAt"] >= last  # how old what is shown is
        others_are_normal(owner, docker, at_home)
        asks = [("POST", "/start"), ("POST", "/stop?t=60"), ("POST", "/restart?t=60"), ("GET", ""), ("GET", "/logs")]
        for method, path in asks:  # at once: to wait would take each of them its own deadline, half a minute and more
            r = owner.call(method, f"/containers/{name}{path}", timeout=10)
            assert (r.status_code, code(r), r.json()["error"]["details"]["node"]) == (503, "DOCKER_UNAVAILABLE", tls_node["name"]), r.text
        tested = owner.post(f"/nodes/{tls_node['id']}/test", expect=200).json()
        assert tested["ok"] is False and tested["error"]["code"] in ("TIMEOUT", "DOCKER_UNAVAILABLE")
    finally:
        engine.signal(signal.SIGCONT)
    until(lambda: owner.get(f"/nodes/{tls_node['id']}")["state"] == "online", 40)
    assert restart(owner, name).status_code == 204
    application(owner, app, sync="Synced", health="Healthy")


class Registry:
    """Debian's docker-registry behind a gate: while that is shut, what is asked of it hangs."""

    def __init__(self, folder):
        self.port = free_port()
        conf = folder / f"registry-{self.port}.yml"
        conf.write_text(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n"
                        f"http: {{addr: '127.0.0.1:{self.port}'}}\n")
        self.process = subprocess.Popen(["docker-registry", "serve", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: socket.socket().connect_ex(("127.0.0.1", self.port)) == 0, what="the registry")
        self.front = Relay(self)
        self.name = f"127.0.0.1:{self.front.port}"

    def push(self, docker, name):
        docker("tag", IMAGE, f"{self.name}/{name}")
        docker("push", f"{self.name}/{name}")
        docker("rmi", f"{self.name}/{name}")

    def stop(self):
        self.front.cut()
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def registry(engine):
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    r = Registry(engine.folder)
    yield r
    r.front.passes.set()
    r.stop()


def breaks_in(owner, engine, app, kind):
    """The engine dies while an operation of that kind runs, and comes back; the deployment that ended by it."""
    def running():
        newest = owner.get("/deployments", params={"application": app["id"]})["items"][0]
        ops = owner.get(f"/deployments/{newest['id']}")["ops"]
        return newest if any(op["kind"] == kind and op["state"] == "running" for op in ops) else None

    broken = until(running, 30, what=f"a running {kind}")
    time.sleep(1)  # the engine is in the middle of it
    engine.kill()
    ended_so = until(lambda: (d := owner.get(f"/deployments/{broken['id']}"))["status"] == "failed" and d, 30, what="its end")
    assert ended_so["error"]["code"] == "DOCKER_UNAVAILABLE", ended_so["error"]
    assert all(op["state"] != "succeeded" for op in ended_so["ops"] if op["kind"] in ("stop", "remove", "rename"))
    engine.start()
    return ended_so


AUTOMATED = {"automated": True, "prune": True, "selfHeal": True}


def test_restart_in_a_build(owner, engine, tls_node, make_app, repo):
    """DK2: the revision is not to blame. It is deployed when the engine is back, by nobody's hand."""
    compose = "services: {web: {build: ., image: 'dk2/%s:built', command: [sleep, '10000'], stop_signal: SIGKILL, restart: always}}"
    tag = unique("b")
    app, _ = make_app({"compose.yaml": compose % tag, "Dockerfile": f"FROM {IMAGE}\nRUN echo one > /version\n"}, nodeId=tls_node["id"],
                      policy=AUTOMATED)
    application(owner, app, 60, sync="Synced", health="Healthy")
    second = repo.commit({"Dockerfile": f"FROM {IMAGE}\nRUN sleep 6\nRUN echo two > /version\n"})
    owner.post(f"/repositories/{app['repository']['id']}/sync", {})
    failed = breaks_in(owner, engine, app, "build")
    assert failed["commit"]["sha"] == second
    now = until(lambda: (a := owner.get(f"/applications/{app['id']}"))["sync"]["deployedCommit"] == second and a, 90, what="the retry")
    assert now["sync"]["status"] == "Synced"
    assert engine.docker("exec", f"{app['projectName']}-web-1", "cat", "/version") == "two"
    engine.docker.sweep(app["projectName"])


def test_what_failed_is_tried_again(owner, engine, docker, tls_node, make_app, registry):
    """An automatic sync whose image is not there yet: each further try waits longer, nobody has to ask."""
    compose = f"services: {{web: {{image: '{registry.name}/late:one', command: [sleep, '10000'], stop_signal: SIGKILL}}}}"
    app, _ = make_app({"compose.yaml": compose}, nodeId=tls_node["id"], policy=AUTOMATED)
    until(lambda: [d for d in owner.get("/deployments", params={"application": app["id"]})["items"] if d["status"] == "failed"], 30)
    registry.push(docker, "late:one")
    application(owner, app, 60, sync="Synced", health="Healthy")
    history = owner.get("/deployments", params={"application": app["id"]})["items"]
    assert history[0]["status"] == "succeeded" and {d["trigger"] for d in history} == {"auto"}
    engine.docker.sweep(app["projectName"])


def test_restart_in_a_pull(owner, engine, docker, tls_node, make_app, repo, registry):
    """DK2, and a person's sync: it fails saying what happened, what ran is there, and the next one works."""
    compose = "services: {web: {image: '%s', command: [sleep, '10000'], stop_signal: SIGKILL, restart: always}}"
    app, _ = make_app({"compose.yaml": compose % IMAGE}, nodeId=tls_node["id"])
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    registry.push(docker, "dk2:one")
    repo.commit({"compose.yaml": compose % f"{registry.name}/dk2:one"})
    registry.front.passes.clear()
    owner.post(f"/applications/{app['id']}/sync", {}, expect=202)
    breaks_in(owner, engine, app, "pull")
    assert list(engine.docker.containers(app["projectName"])) == [f"{app['projectName']}-web-1"]
    registry.front.passes.set()
    until(lambda: owner.get(f"/nodes/{tls_node['id']}")["state"] == "online", 40)
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    assert engine.docker.inspect(f"{app['projectName']}-web-1")["Config"]["Image"] == f"{registry.name}/dk2:one"
    engine.docker.sweep(app["projectName"])


def test_a_host_that_swallows_everything(owner, docker, add_node, engine, at_home):
    """DK1: a dead TCP host. Nobody takes the connection: the listener's queue is full."""
    with socket.socket() as hole, contextlib.ExitStack() as fill:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        for _ in range(4):
            s = fill.enter_context(socket.socket())
            s.setblocking(False)
            s.connect_ex(hole.getsockname())
        begin = time.monotonic()
        n = add_node(f"tcp://127.0.0.1:{hole.getsockname()[1]}", engine.tls())
        others_are_normal(owner, docker, at_home)
        until(lambda: owner.get(f"/nodes/{n['id']}")["state"] == "unreachable", UNREACHABLE_S)
        tested = owner.post(f"/nodes/{n['id']}/test", expect=200).json()
        assert tested["ok"] is False and tested["error"]["code"] in ("TIMEOUT", "DOCKER_UNAVAILABLE")
        assert time.monotonic() - begin < 60
