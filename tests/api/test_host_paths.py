"""Folders of the host, and links that containers put into them."""
import shutil
import tempfile

from conftest import PLATFORM, make_user
from live import SERVICE, ended


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


def test_a_link_inside_a_host_folder_is_seen(owner, docker, make_app, repo):
    folder = tempfile.mkdtemp(prefix="dfhost-", dir="/srv")
    try:
        app, _ = make_app({"compose.yaml": SERVICE + f"    volumes: ['{folder}:/d']\n"})
        ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
        docker("exec", f"{app['projectName']}-web-1", "ln", "-s", "/etc", "/d/out")
        repo.commit({"compose.yaml": SERVICE + f"    volumes: ['{folder}/out/cron.d:/host']\n"}, "escape")
        developer = make_user(owner, ("developer", PLATFORM))
        task = ended(developer, developer.post(f"/applications/{app['id']}/sync", {}), "failed")
        assert task["error"]["code"] == "POLICY_VIOLATION"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
