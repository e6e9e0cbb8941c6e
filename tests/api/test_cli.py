"""dsctl as a newcomer and as a script meet it: what it says, where it says it, and its exit status."""
import contextlib
import json
import os
import pty
import re
import shutil
import socket
import stat
import subprocess
import threading

import pytest

from conftest import PROGRAM, make_org, unique
from live import application, ended

CLI = os.environ.get("DF_CLI_BIN", str(PROGRAM.parent / "dsctl"))
FAILED, DIFFERENT, USAGE, NO_LOGIN, NOT_FOUND, DENIED = 1, 2, 2, 3, 4, 5


class Dsctl:
    """One person's command line, with a configuration of its own."""

    def __init__(self, folder, **env):
        self.config = folder / "dsctl" / "config.yaml"
        self.env = {"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": str(folder), **env}

    def run(self, *args, stdin=""):
        return subprocess.run([CLI, *map(str, args)], input=stdin, capture_output=True, text=True, timeout=120, env=self.env)

    def __call__(self, *args, stdin="", exit=0):
        done = self.run(*args, stdin=stdin)
        assert done.returncode == exit, f"dsctl {args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if exit == 0 else done.stderr


@pytest.fixture
def fresh(tmp_path):
    return Dsctl(tmp_path)


@pytest.fixture
def dsctl(tmp_path, server, admin):
    """With the rights of the platform's owner, as a script has them."""
    return Dsctl(tmp_path, DOCKFLOW_SERVER=server.url, DOCKFLOW_TOKEN=admin.token)


# ---- without a server -------------------------------------------------------------------------------

@pytest.mark.parametrize("args,says", [
    (["nonsense"], "unknown command 'nonsense'"),
    (["get"], "which kind? one of: applications"),
    (["get", "nope"], "unknown kind 'nope'"),
    (["get", "apps", "--bogus"], "unknown option --bogus"),
    (["get", "apps", "--limit"], "option --limit needs a value"),
    (["get", "apps", "--help=yes"], "takes no value"),
    (["sync", "one", "two"], "unexpected argument 'two'"),
    (["logs"], "usage: dsctl logs CONTAINER"),
    (["logs", "x", "--tail", "abc"], "--tail must be a whole number"),
    (["login", "ftp://server"], "must start with https:// or http://"),
    (["create", "containers", "x"], "not created by hand"),
    (["create", "project"], "which name?"),
    (["create", "project", "x", "--url", "y"], "--url does not belong to projects"),
    (["create", "application", "x", "--variable", "novalue"], "not NAME=VALUE"),
    (["create", "user", "bob", "--email", "bob@example.test"], "needs a password"),
    (["delete", "project"], "usage: dsctl delete project NAME"),
    (["delete", "project", "x", "--cascade"], "--cascade does not belong to projects"),
    (["completion", "tcsh"], "usage: dsctl completion bash|zsh|fish"),
])
def test_wrong_usage_says_what_is_wrong(fresh, args, says):
    assert says in fresh(*args, exit=USAGE)


def test_who_is_not_logged_in_is_told_how(fresh):
    assert "dsctl login" in fresh("get", "apps", exit=NO_LOGIN)


def test_a_file_that_is_not_there_is_not_a_missing_object(fresh):
    assert "cannot open /nonexistent" in fresh("create", "project", "-f", "/nonexistent", exit=FAILED)


def test_no_server_is_named(fresh):
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))  # nobody listens
        port = s.getsockname()[1]
        said = fresh("login", f"http://127.0.0.1:{port}", "-u", "ada", "--password-stdin", stdin="x\n", exit=FAILED)
    assert f"cannot connect to 127.0.0.1 port {port}" in said and "connection refused" in said
    assert not fresh.config.exists()


def test_help_names_every_command_and_the_exit_statuses(fresh):
    text = fresh("--help")
    for command in ("login", "context", "get", "describe", "create", "delete", "sync", "diff", "rollback", "logs", "api"):
        assert re.search(rf"^  {command} ", text, re.M)
        assert f"Usage: dsctl {command}" in fresh(command, "--help")
    for status in ("0 done", "1 failed", "2 wrong usage", "3 not logged in", "4 not found", "5 denied", "124 timed out"):
        assert status in " ".join(text.split())


@pytest.mark.parametrize("shell,check", [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])])
def test_completion_is_a_script_of_that_shell(fresh, tmp_path, shell, check):
    script = tmp_path / "script"
    script.write_text(fresh("completion", shell))
    for word in ("describe", "create", "rollback", "organizations"):
        assert word in script.read_text()
    assert "%" not in script.read_text()
    if shutil.which(shell):
        subprocess.run([*check, script], check=True)


def test_bash_completes_commands_kinds_and_names(dsctl, admin, tmp_path):
    org = make_org(admin)["org"]["name"]
    (tmp_path / "script").write_text(dsctl("completion", "bash"))

    def complete(*words):
        ask = f'. {tmp_path}/script; COMP_WORDS=({" ".join(repr(w) for w in words)}); COMP_CWORD={len(words) - 1}; _dsctl; echo "${{COMPREPLY[@]}}"'
        path = f"{os.path.dirname(CLI)}:{os.environ['PATH']}"
        return subprocess.run(["bash", "-c", ask], env={**dsctl.env, "PATH": path}, capture_output=True, text=True, check=True).stdout.split()

    assert complete("dsctl", "desc") == ["describe"]
    assert complete("dsctl", "create", "org") == ["organizations"]
    assert complete("dsctl", "get", "organizations", org[:-1]) == [org]


# ---- logging in -------------------------------------------------------------------------------------

def test_login_context_logout(fresh, server, admin, admin_password):
    wrong = fresh("login", server.url, "-u", "admin@localhost", "--password-stdin", stdin="wrong\n", exit=NO_LOGIN)
    assert "INVALID_CREDENTIALS" in wrong and not fresh.config.exists()
    said = fresh("login", server.url, "-u", "admin@localhost", "--password-stdin", "--context", "lab", stdin=admin_password + "\n")
    assert "Logged in" in said and "(context lab)" in said
    assert stat.S_IMODE(fresh.config.stat().st_mode) == 0o600
    assert admin_password not in fresh.config.read_text()
    listed = fresh("context", "list")
    assert re.search(rf"^lab +\* +{re.escape(server.url)}$", listed, re.M)
    assert fresh("get", "organizations", "-o", "name") is not None
    assert "no context 'other'" in fresh("context", "use", "other", exit=NOT_FOUND)
    fresh("logout")
    fresh("get", "apps", exit=NO_LOGIN)


def test_a_token_that_is_wrong_or_too_narrow(tmp_path, server, admin, user):
    assert "TOKEN_INVALID" in Dsctl(tmp_path, DOCKFLOW_SERVER=server.url, DOCKFLOW_TOKEN="dsp_nonsense")("get", "apps", exit=NO_LOGIN)
    org = make_org(admin)
    reader = user(("viewer", org["org"]["id"]))
    narrow = Dsctl(tmp_path, DOCKFLOW_SERVER=server.url, DOCKFLOW_TOKEN=reader.token)
    assert "INSUFFICIENT_PERMISSIONS" in narrow("create", "project", "x", "--organization", org["org"]["name"], exit=DENIED)


# ---- objects ----------------------------------------------------------------------------------------

def test_organization_to_application_by_names_alone(dsctl, admin, tmp_path):
    org, project, repository, app = unique("org"), unique("proj"), unique("repo"), unique("app")
    key = tmp_path / "token"
    key.write_text("sesame-of-the-forge\n")
    assert dsctl("create", "organization", org, "--display-name", "Acme & Sons").startswith(f"{org} created (")
    dsctl("create", "project", project, "--organization", org)
    dsctl("create", "repository", repository, "--project", project, "--url", "https://git.example.test/shop.git", "--branch", "main",
          "--username", "ada", "--token-file", key)
    made = json.loads(dsctl("create", "application", app, "--project", project, "--repository", repository, "--path", "deploy",
                            "--compose-file", "a.yaml", "--compose-file", "b.yaml", "--environment", "test", "--variable", "A=1=2",
                            "--variable", "B=", "--self-heal", "-o", "json"))
    seen = admin.get(f"/applications/{made['id']}")
    assert seen["path"] == "deploy" and seen["composeFiles"] == ["a.yaml", "b.yaml"]
    assert seen["environment"] == {"name": "test", "variables": {"A": "1=2", "B": ""}}
    assert seen["syncPolicy"]["selfHeal"] and not seen["syncPolicy"]["automated"]
    assert seen["repository"]["name"] == repository and seen["projectId"] == json.loads(dsctl("get", "project", project, "-o", "json"))["id"]
    assert dsctl("get", "repository", repository, "-o", "name").strip() == repository
    assert "sesame" not in dsctl("describe", "repository", repository)
    assert "CONFLICT" in dsctl("create", "organization", org, exit=FAILED)

    refused = dsctl("delete", "application", app, exit=USAGE)
    assert "say --yes" in refused and app in refused
    assert dsctl("delete", "application", app, "--yes") == f"{app} deleted\n"
    dsctl("get", "app", app, exit=NOT_FOUND)
    dsctl("delete", "repository", repository, "-y")
    dsctl("delete", "project", project, "-y")
    dsctl("delete", "organization", org, "-y")
    dsctl("delete", "organization", org, "-y", exit=NOT_FOUND)


def test_create_from_a_file_and_from_standard_input(dsctl, admin, tmp_path):
    org = make_org(admin)["org"]["name"]
    one, two = unique("p"), unique("p")
    file = tmp_path / "p.yaml"
    file.write_text(f"name: {one}\norganizationId: {org}\ndescription: from a file\n")
    made = json.loads(dsctl("create", "project", "-f", file, "--description", "from the option", "-o", "json"))
    assert made["name"] == one and made["description"] == "from the option"
    dsctl("create", "project", "-f", "-", stdin=json.dumps({"name": two, "organizationId": org}))
    assert json.loads(dsctl("get", "project", two, "-o", "json"))["name"] == two
    file.write_text("name: x\nname: y\n")
    bad = dsctl("create", "project", "-f", file, exit=FAILED)
    assert "p.yaml:2:1" in bad
    assert "UNKNOWN_FIELD" in dsctl("create", "project", "-f", "-", stdin=f"{{name: {unique('p')}, organizationId: {org}, colour: red}}", exit=FAILED)


def test_a_name_that_is_not_there_or_not_alone(dsctl, admin):
    missing = dsctl("create", "project", "x", "--organization", "nobody", exit=NOT_FOUND)
    assert "no organizations called 'nobody'" in missing and "dsctl get organizations" in missing
    name = unique("twin")
    for org in (make_org(admin)["org"], make_org(admin)["org"]):
        dsctl("create", "project", name, "--organization", org["id"])
    assert f"several projects are called '{name}'" in dsctl("get", "project", name, exit=FAILED)


def test_a_user_with_a_piped_password(dsctl, server, tmp_path):
    name = unique("bob")
    dsctl("create", "user", name, "--email", f"{name}@example.test", "--full-name", "Bob", "--password-stdin", stdin="a phrase for bob 42\n")
    assert "WEAK_PASSWORD" in dsctl("create", "user", unique("b"), "--email", "b@example.test", "--password-stdin", stdin="short\n", exit=FAILED)
    (tmp_path / "bob").mkdir()
    done = Dsctl(tmp_path / "bob").run("login", server.url, "-u", name, "--password-stdin", stdin="a phrase for bob 42\n")
    assert "must be changed" in done.stderr
    dsctl("delete", "user", name, "--yes")


def on_a_terminal(dsctl, args, typed):
    """Output of dsctl with a terminal as all three of its streams."""
    master, slave = pty.openpty()
    child = subprocess.Popen([CLI, *args], stdin=slave, stdout=slave, stderr=slave, env=dsctl.env)
    os.close(slave)
    os.write(master, typed)
    shown = b""
    with contextlib.suppress(OSError), contextlib.closing(os.fdopen(master, "rb", buffering=0)) as f:
        while chunk := f.read(4096):
            shown += chunk
    return child.wait(timeout=60), shown.decode()


def test_a_person_is_asked_before_something_goes(dsctl):
    org = unique("org")
    dsctl("create", "organization", org)
    status, shown = on_a_terminal(dsctl, ["delete", "organization", org], b"n\n")
    assert status == FAILED and f"Delete {org}" in shown and "nothing was done" in shown
    assert dsctl("get", "organization", org, "-o", "name").strip() == org
    status, shown = on_a_terminal(dsctl, ["delete", "organization", org], b"y\n")
    assert status == 0 and "deleted" in shown


def test_colours_only_for_eyes(dsctl):
    assert "\033" in on_a_terminal(dsctl, ["get", "organization", "nobody-has-this"], b"")[1]
    assert "\033" not in on_a_terminal(Dsctl(dsctl.config.parent, **dsctl.env, NO_COLOR="1"), ["get", "organization", "nobody-has-this"], b"")[1]
    done = dsctl.run("get", "organization", "nobody-has-this")
    assert "\033" not in done.stdout + done.stderr


@pytest.mark.parametrize("path", ["/auth/me", "auth/me", "/api/v1/auth/me"])
def test_api_paths_with_and_without_the_prefix(dsctl, path):
    assert "user" in json.loads(dsctl("api", "GET", path))


def test_api_takes_a_body_from_file_and_input_and_knows_other_roots(dsctl, tmp_path):
    assert json.loads(dsctl("api", "GET", "/health/live"))
    one, two = unique("org"), unique("org")
    file = tmp_path / "body.json"
    file.write_text(json.dumps({"name": one}))
    assert json.loads(dsctl("api", "POST", "/organizations", "-d", f"@{file}"))["name"] == one
    assert json.loads(dsctl("api", "POST", "/organizations", "-d", "@-", stdin=json.dumps({"name": two})))["name"] == two
    assert "INVALID_CREDENTIALS" in dsctl("api", "POST", "/auth/login", "-d", '{"username": "nobody", "password": "x"}', exit=NO_LOGIN)


# ---- the way of an application ----------------------------------------------------------------------

def test_sync_diff_rollback_logs(live_server, owner, home, docker, repo, make_app, tmp_path):
    dsctl = Dsctl(tmp_path, DOCKFLOW_SERVER=live_server.url, DOCKFLOW_TOKEN=owner.token)
    app, _ = make_app()
    name = app["name"]
    assert dsctl.run("diff", name).returncode == DIFFERENT
    assert "succeeded" in dsctl("sync", name)
    dsctl("wait", name, "--for", "synced", "--timeout", "60")
    assert dsctl("diff", name) == "Nothing to do.\n"
    first = json.loads(dsctl("get", "deployments", "-q", f"application={app['id']}", "-o", "json"))[0]["id"]
    container = docker.running(app["projectName"])[0]
    assert "hello world" in dsctl("logs", container)
    follow = subprocess.Popen([CLI, "logs", container, "-f"], stdout=subprocess.PIPE, text=True, env=dsctl.env)
    stop = threading.Timer(60, follow.kill)
    stop.start()
    try:
        assert follow.stdout.readline() == "hello world\n"
    finally:
        stop.cancel()
        follow.kill()
        follow.wait()

    repo.commit({"compose.yaml": (repo.work / "compose.yaml").read_text().replace("GREETING:-world", "GREETING:-moon")})
    ended(owner, owner.post(f"/repositories/{app['repository']['id']}/refresh"))
    dsctl("refresh", name)
    changed = dsctl.run("diff", name)
    assert changed.returncode == DIFFERENT and "command" in changed.stdout
    dsctl("sync", name)
    dsctl("rollback", name, first)
    assert "hello world" in dsctl("logs", docker.running(app["projectName"])[0])
    dsctl("delete", "application", name, "--cascade", "--yes")
    assert docker.containers(app["projectName"]) == {}
    assert "unknown" not in dsctl("logs", "nothing-of-that-name", exit=NOT_FOUND)
