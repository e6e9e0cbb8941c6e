"""Repositories: local paths, HTTPS with a private authority and tokens, SSH with pinned keys; secrets that stay in."""
import base64
import http.server
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from conftest import code, free_port, make_org, make_user, unique
from live import SERVICE, ended, until

TOKEN = "token-canary-7fe2b1"


# ---- a Git server over HTTPS ----------------------------------------------------------------------------

class GitHandler(http.server.BaseHTTPRequestHandler):
    """git http-backend behind TLS; wants the token when the server says so."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def allowed(self):
        given = self.headers.get("Authorization", "")
        self.server.seen.append(given)
        if self.server.token is None:
            return True
        if not given.startswith("Basic "):
            return False
        return base64.b64decode(given[6:]).decode().partition(":")[2] == self.server.token

    def serve(self):
        if not self.allowed():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        if self.server.elsewhere:
            self.send_response(301)
            self.send_header("Location", self.server.elsewhere + path.removeprefix("/origin.git") + "?" + query)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        n = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(n)
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.server.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
               "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
               "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
               "GIT_CONFIG_VALUE_0": "*"}
        if self.headers.get("Content-Encoding"):
            env["HTTP_CONTENT_ENCODING"] = self.headers["Content-Encoding"]
        out = subprocess.run(["git", "http-backend"], input=body, stdout=subprocess.PIPE, env=env).stdout
        head, _, payload = out.partition(b"\r\n\r\n")
        lines = [line.decode().partition(": ") for line in head.split(b"\r\n")]
        status = next((int(v.split()[0]) for k, _, v in lines if k == "Status"), 200)
        self.send_response(status)
        for k, _, v in lines:
            if k != "Status":
                self.send_header(k, v)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = serve


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    d = tmp_path_factory.mktemp("ca")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=Test CA", "-keyout",
            d / "ca.key", "-out", d / "ca.pem")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost", "-keyout", d / "s.key", "-out", d / "s.csr")
    (d / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", d / "s.csr", "-CA", d / "ca.pem", "-CAkey", d / "ca.key", "-CAcreateserial", "-days", "2", "-extfile", d / "ext", "-out",
            d / "s.pem")
    return d


@pytest.fixture
def https(authority, repo):
    made = []

    def make(token=None):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), GitHandler)
        server.root, server.token, server.seen, server.elsewhere = repo.folder, token, [], None
        server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority / "s.pem", authority / "s.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made.append(server)
        server.url = f"https://localhost:{server.server_address[1]}/origin.git"
        return server

    yield make
    for server in made:
        server.shutdown()
        server.server_close()


# ---- a Git server over SSH --------------------------------------------------------------------------------

class Sshd:
    def __init__(self, folder, repo):
        self.folder, self.port = folder, free_port()
        for name in ("host", "other", "client"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        shutil.copy(folder / "client.pub", folder / "authorized")
        os.chmod(folder / "authorized", 0o600)
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nPidFile {folder}/pid\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nSetEnv GIT_CONFIG_COUNT=1 "
            "GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=*\n")
        os.makedirs("/run/sshd", exist_ok=True)
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "sshd_config")], stdout=self.log, stderr=self.log)
        for _ in range(100):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.05)
        import getpass
        self.url = f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{repo.bare}"
        self.key = (folder / "client").read_text()

    def line(self, name):
        return " ".join((self.folder / f"{name}.pub").read_text().split()[:2])

    def fingerprint(self, name):
        return subprocess.run(["ssh-keygen", "-l", "-f", str(self.folder / f"{name}.pub")], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[1]

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


@pytest.fixture
def sshd(tmp_path, repo):
    if not os.path.exists("/usr/sbin/sshd"):
        pytest.skip("no sshd (package openssh-server)")
    server = Sshd(tmp_path, repo)
    yield server
    server.stop()


# ---- the ways in ------------------------------------------------------------------------------------------

def polled(owner, repository, state="ok"):
    return until(lambda: (r := owner.get(f"/repositories/{repository['id']}"))["state"] == state and r, what=f"repository {state}")


def test_local_path(owner, repo, make_repository):
    sha = repo.commit({"compose.yaml": SERVICE})
    r = polled(owner, make_repository())
    assert r["lastCommit"] == sha and r["authType"] == "none" and not r["hasCredentials"] and r["lastPolledAt"] and r["error"] is None
    assert owner.post(f"/repositories/{r['id']}/test", expect=200).json() == {"ok": True, "commit": sha, "error": None}


def test_https_with_a_private_authority(owner, repo, https, authority, make_repository):
    sha = repo.commit({"compose.yaml": SERVICE})
    server = https()
    good = make_repository(url=server.url, tlsCa=(authority / "ca.pem").read_text())
    assert polled(owner, good)["lastCommit"] == sha and good["tlsCaSet"]
    bad = polled(owner, make_repository(url=server.url), "error")
    assert bad["error"]["code"] == "TLS_VERIFY_FAILED", bad["error"]


def test_https_with_a_token(owner, repo, https, authority, make_repository, live_server):
    sha = repo.commit({"compose.yaml": SERVICE})
    server, ca = https(TOKEN), (authority / "ca.pem").read_text()
    good = make_repository(url=server.url, tlsCa=ca, auth={"type": "token", "username": "bot", "token": TOKEN})
    assert polled(owner, good)["lastCommit"] == sha
    assert base64.b64encode(f"bot:{TOKEN}".encode()).decode() in "".join(server.seen)
    wrong = polled(owner, make_repository(url=server.url, tlsCa=ca, auth={"type": "token", "token": "nonsense"}), "error")
    assert wrong["error"]["code"] == "GIT_AUTH_FAILED", wrong["error"]
    # In it goes, out it never comes.
    for path in (f"/repositories/{good['id']}", "/repositories", "/audit-logs", "/activity"):
        assert TOKEN not in owner.call("GET", path).text
    assert TOKEN not in live_server.log()
    assert good["hasCredentials"] and good["authType"] == "token"


def test_a_credential_stays_with_its_host(owner, repo, https, authority, make_repository):
    repo.commit({"compose.yaml": SERVICE})
    server, ca = https(TOKEN), (authority / "ca.pem").read_text()
    good = make_repository(url=server.url, tlsCa=ca, auth={"type": "token", "token": TOKEN})
    other = https(TOKEN)
    r = owner.patch(f"/repositories/{good['id']}", {"url": other.url}, good["version"])
    assert r.status_code == 422 and r.json()["error"]["field"] == "/auth"
    assert other.seen == []
    owner.patch(f"/repositories/{good['id']}", {"url": other.url, "auth": {"type": "token", "token": TOKEN}}, good["version"], expect=200)
    until(lambda: other.seen, what="a poll of the new place")
    polled(owner, good)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_redirect_to_another_server_is_not_followed(owner, repo, https, authority, make_repository, host):
    """SR3: nothing is asked of another host or port, with a credential or without."""
    repo.commit({"compose.yaml": SERVICE})
    ca = (authority / "ca.pem").read_text()
    target, server = https(), https()
    server.elsewhere = target.url.replace("localhost", host)
    r = make_repository(url=server.url, tlsCa=ca)
    error = polled(owner, r, "error")["error"]
    assert error["code"] == "GIT_ERROR" and "redirect" in error["message"]
    if host == "localhost":
        assert f"redirects to localhost port {target.server_address[1]}" in error["message"]
    assert server.seen and target.seen == []


def test_ssh_with_a_pinned_key(owner, repo, sshd, make_repository):
    sha = repo.commit({"compose.yaml": SERVICE})
    for pin in (sshd.line("host"), sshd.fingerprint("host")):
        r = make_repository(url=sshd.url, auth={"type": "ssh", "privateKey": sshd.key, "hostKey": pin})
        assert polled(owner, r)["lastCommit"] == sha
    assert "PRIVATE KEY" not in owner.call("GET", "/repositories").text


def test_ssh_with_another_key_is_refused(owner, repo, sshd, make_repository):
    repo.commit({"compose.yaml": SERVICE})
    r = make_repository(url=sshd.url, auth={"type": "ssh", "privateKey": sshd.key, "hostKey": sshd.line("other")})
    assert polled(owner, r, "error")["error"]["code"] == "HOSTKEY_MISMATCH"
    tested = owner.post(f"/repositories/{r['id']}/test", expect=200).json()
    assert not tested["ok"] and tested["error"]["code"] == "HOSTKEY_MISMATCH"


def test_ssh_with_a_stranger_s_key_is_refused(owner, repo, sshd, make_repository):
    repo.commit({"compose.yaml": SERVICE})
    r = make_repository(url=sshd.url, auth={"type": "ssh", "privateKey": (sshd.folder / "other").read_text(), "hostKey": sshd.line("host")})
    assert polled(owner, r, "error")["error"]["code"] == "GIT_AUTH_FAILED"


def test_a_remote_that_is_gone(owner, repo, make_repository):
    repo.commit({"compose.yaml": SERVICE})
    r = make_repository(url=f"https://127.0.0.1:{free_port()}/x.git")
    assert polled(owner, r, "error")["error"]["code"] in ("GIT_ERROR", "IO_ERROR")


# ---- the record -------------------------------------------------------------------------------------------

def test_bad_bodies(owner, home, make_repository):
    base = {"name": unique("r"), "url": "https://git.example.test/a.git", "projectId": home["project"]["id"]}
    for change, status, field in (
            ({"url": "https://user:secret@git.example.test/a.git"}, 422, "/url"),
            ({"url": "ext::sh -c id"}, 422, "/url"),
            ({"url": "--upload-pack=x"}, 422, "/url"),
            ({"url": "ssh://git@h/a.git"}, 422, "/auth/type"),
            ({"url": "ssh://git@h/a.git", "auth": {"type": "ssh", "privateKey": "x"}}, 422, "/auth/hostKey"),
            ({"url": "ssh://git@h/a.git", "auth": {"type": "ssh", "privateKey": "x", "hostKey": "yes please"}}, 422, "/auth/hostKey"),
            ({"auth": {"type": "token"}}, 422, "/auth/token"),
            ({"auth": {"type": "ssh", "privateKey": "x", "hostKey": "SHA256:x"}}, 422, "/auth/type"),
            ({"pollSeconds": 3}, 422, "/pollSeconds"),
            ({"tlsCa": "no certificate"}, 422, "/tlsCa"),
            ({"branch": "a b"}, 422, "/branch"),
            ({"projectId": home["org"]["id"]}, 422, "/projectId"),
            ({"credentialsSealed": "x"}, 400, "/credentialsSealed")):
        r = owner.post("/repositories", {**base, **change})
        assert (r.status_code, r.json()["error"].get("field")) == (status, field), (change, r.text)


def test_local_paths_are_for_development_only(admin, org):
    for url in ("/etc", "file:///etc", "http://127.0.0.1/x.git"):
        r = admin.post("/repositories", {"name": unique("r"), "url": url, "projectId": org["project"]["id"]})
        assert r.status_code == 422 and r.json()["error"]["field"] == "/url"


def test_one_that_is_used_cannot_be_removed(owner, make_app):
    app, _ = make_app()
    repository = owner.get(f"/repositories/{app['repository']['id']}")
    r = owner.delete(f"/repositories/{repository['id']}", repository["version"])
    assert r.status_code == 409 and r.json()["error"]["details"]["application"] == app["name"]


def test_removed_with_its_mirror(owner, repo, make_repository, live_server):
    repo.commit({"compose.yaml": SERVICE})
    r = polled(owner, make_repository())
    mirror = live_server.folder / "data" / "git" / f"{r['id']}.git"
    assert mirror.is_dir()
    owner.delete(f"/repositories/{r['id']}", r["version"], expect=204)
    assert owner.call("GET", f"/repositories/{r['id']}").status_code == 404
    until(lambda: not mirror.exists(), 10, what="removal of the mirror")


def test_strangers_and_readers(owner, home, repo, make_repository):
    repo.commit({"compose.yaml": SERVICE})
    r = make_repository()
    stranger = make_user(owner, ("admin", make_org(owner)["org"]["id"]))
    reader = make_user(owner, ("viewer", home["project"]["id"]))
    assert stranger.call("GET", f"/repositories/{r['id']}").status_code == 404
    assert stranger.all("/repositories") == []
    for method, path in (("POST", "/test"), ("POST", "/refresh"), ("POST", "/webhook-secret"), ("DELETE", "")):
        assert stranger.call(method, f"/repositories/{r['id']}{path}").status_code == 404
        assert reader.call(method, f"/repositories/{r['id']}{path}").status_code == 403
    assert reader.get(f"/repositories/{r['id']}")["id"] == r["id"]
