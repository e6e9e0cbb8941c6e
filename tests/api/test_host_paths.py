"""Paths of the host in containers: who may, where links lead, and what automatic syncs may use again."""
import pathlib
import tempfile

from conftest import PLATFORM, make_user
from live import SERVICE, ended, until


def test_a_link_inside_an_own_folder_is_not_followed(owner, live_server, docker, make_app, repo):
    """A developer's container cannot open the host for the next deployment."""
    app, _ = make_app({"compose.yaml": SERVICE + "    volumes: ['./d:/d']\n", "d/file": "mine\n"})
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    name = f"{app['projectName']}-web-1"
    docker("exec", name, "ln", "-s", "/", "/d/out")
    place = docker.inspect(name)["Mounts"][0]["Source"]
    repo.commit({"compose.yaml": SERVICE + f"    volumes: ['./d:/d', '{place}/out:/host']\n"}, "escape")
    developer = make_user(owner, ("developer", PLATFORM))
    task = ended(developer, developer.post(f"/applications/{app['id']}/sync", {}), "failed")
    assert task["error"]["code"] == "POLICY_VIOLATION"


def test_any_host_path_needs_a_right(owner, live_server, docker, make_app, repo, tmp_path):
    (tmp_path / "shared").mkdir()
    app, _ = make_app({"compose.yaml": SERVICE + f"    volumes: ['{tmp_path}/shared:/d']\n"})
    developer = make_user(owner, ("developer", PLATFORM))
    task = ended(developer, developer.post(f"/applications/{app['id']}/sync", {}), "failed")
    assert task["error"]["code"] == "POLICY_VIOLATION"
    (violation,) = task["error"]["details"]["violations"]
    assert violation["rule"] == "host-path" and violation["permission"] == "container:host-paths"
    assert str(tmp_path / "shared") in violation["message"]
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))


def test_nobody_mounts_the_servers_own_directory(owner, live_server, make_app):
    link = pathlib.Path(tempfile.mkdtemp()) / "link"
    link.symlink_to(live_server.folder / "data")
    for path in (f"{live_server.folder}/data/keys", str(link)):
        app, _ = make_app({"compose.yaml": SERVICE + f"    volumes: ['{path}:/d']\n"})
        task = ended(owner, owner.post(f"/applications/{app['id']}/sync", {}), "failed")
        assert task["error"]["details"]["violations"][0]["rule"] == "own-path", task


def test_automatic_syncs_may_what_somebody_deployed_before(owner, live_server, docker, make_app, repo, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()

    def compose(folder, message):
        return SERVICE + f"    environment: {{MESSAGE: {message}}}\n    volumes: ['{tmp_path}/{folder}:/d']\n"

    app, _ = make_app({"compose.yaml": compose("one", "first")}, syncPolicy={"automated": True})
    # Nobody has deployed it yet: the platform alone may not.
    until(lambda: owner.get(f"/applications/{app['id']}")["error"], what="the refusal")
    assert owner.get(f"/applications/{app['id']}")["error"]["code"] == "POLICY_VIOLATION"
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    (approval,) = owner.get(f"/applications/{app['id']}/approvals")["items"]
    assert approval["permission"] == "container:host-paths" and approval["approvedBy"]["name"] == "admin@localhost"

    repo.commit({"compose.yaml": compose("one", "second")}, "same folder")
    owner.post(f"/applications/{app['id']}/refresh")
    until(lambda: "MESSAGE=second" in docker("inspect", f"{app['projectName']}-web-1", check=False), what="the automatic sync")

    # Another service, or another image, is not what was approved.
    other = compose("one", "second") + SERVICE.replace("services:\n", "").replace("web:", "more:") + f"    volumes: ['{tmp_path}/one:/d']\n"
    repo.commit({"compose.yaml": other}, "another service")
    owner.post(f"/applications/{app['id']}/refresh")
    until(lambda: (owner.get(f"/applications/{app['id']}")["error"] or {}).get("code") == "POLICY_VIOLATION", what="the refusal")
    repo.commit({"compose.yaml": compose("one", "again")}, "back")
    owner.post(f"/applications/{app['id']}/refresh")
    until(lambda: "MESSAGE=again" in docker("inspect", f"{app['projectName']}-web-1", check=False), what="the automatic sync")

    repo.commit({"compose.yaml": compose("two", "third")}, "another folder")
    owner.post(f"/applications/{app['id']}/refresh")
    until(lambda: (owner.get(f"/applications/{app['id']}")["error"] or {}).get("code") == "POLICY_VIOLATION", what="the refusal")

    assert owner.delete(f"/applications/{app['id']}/approvals").status_code == 204
    assert owner.get(f"/applications/{app['id']}/approvals")["items"] == []
    repo.commit({"compose.yaml": compose("one", "fourth")}, "withdrawn")
    owner.post(f"/applications/{app['id']}/refresh")
    until(lambda: "one" in str((owner.get(f"/applications/{app['id']}")["error"] or {}).get("details")), what="the refusal")


def test_approvals_end_with_the_source_they_were_given_for(owner, live_server, docker, make_app, tmp_path):
    (tmp_path / "shared").mkdir()
    app, _ = make_app({"compose.yaml": SERVICE + f"    volumes: ['{tmp_path}/shared:/d']\n"})
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    assert owner.get(f"/applications/{app['id']}/approvals")["items"]
    owner.patch(f"/applications/{app['id']}", {"description": "x"}, version=owner.get(f"/applications/{app['id']}")["version"], expect=200)
    assert owner.get(f"/applications/{app['id']}/approvals")["items"]
    owner.patch(f"/applications/{app['id']}", {"branch": "other"}, version=owner.get(f"/applications/{app['id']}")["version"], expect=200)
    assert owner.get(f"/applications/{app['id']}/approvals")["items"] == []
