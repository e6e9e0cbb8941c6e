"""Links that containers put into folders of theirs."""
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
