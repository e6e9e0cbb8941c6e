"""GT1: nothing outside of the commit is read, whichever way a repository points there. Links are refused, not followed."""
import os

import pytest
from conftest import unique
from live import SERVICE, ended, until

HEAD = "services:\n  web:\n    image: busybox:local\n    command: ['sleep', 'inf']\n"
LINKS = {"passwd": "/etc/passwd", "up": "../../../../../../etc", "folder": "real", "chain": "folder", "inner.env": "real/a.env"}
REAL = {"real/a.env": "A=1\n", "real/compose.yaml": SERVICE, "real/Dockerfile": "FROM busybox:local\n", "real/text": "text\n"}

# name: (compose.yaml or the path of the application, line of the error; None: the file itself)
WAYS = {
    "include a link": ("include: [passwd]\n" + HEAD, 1),
    "include through a folder": ("include:\n  - folder/compose.yaml\n" + HEAD, 2),
    "include through two": ("include:\n  - chain/compose.yaml\n" + HEAD, 2),
    "include upwards": ("include:\n  - ../../etc/passwd\n" + HEAD, 2),
    "include absolutely": ("include:\n  - /etc/passwd\n" + HEAD, 2),
    "include with env_file": ("include:\n  - path: real/compose.yaml\n    env_file: passwd\n" + HEAD, 3),
    "include of a project elsewhere": ("include:\n  - path: real/compose.yaml\n    project_directory: up\n" + HEAD, 2),
    "extends a link": (HEAD + "    extends: {file: passwd, service: web}\n", 5),
    "extends through a folder": (HEAD + "    extends:\n      file: folder/compose.yaml\n      service: web\n", 6),
    "extends upwards": (HEAD + "    extends:\n      file: ../other/compose.yaml\n      service: web\n", 6),
    "env_file a link": (HEAD + "    env_file: passwd\n", 5),
    "env_file inside the repository": (HEAD + "    env_file:\n      - inner.env\n", 6),
    "env_file that need not exist": (HEAD + "    env_file:\n      - path: passwd\n        required: false\n", 6),
    "env_file upwards": (HEAD + "    env_file: [../../../etc/environment]\n", 5),
    "label_file a link": (HEAD + "    label_file: passwd\n", 5),
    "config a link": (HEAD + "    configs: [c]\nconfigs:\n  c:\n    file: passwd\n", 7),
    "config through a folder": (HEAD + "    configs: [c]\nconfigs:\n  c: {file: folder/text}\n", 7),
    "config upwards": (HEAD + "    configs: [c]\nconfigs:\n  c: {file: ../../../etc/passwd}\n", 7),
    "secret a link": (HEAD + "    secrets: [s]\nsecrets:\n  s:\n    file: ./passwd\n", 7),
    "secret absolutely": (HEAD + "    secrets: [s]\nsecrets:\n  s:\n    file: /etc/shadow\n", 7),
    "bind a link": (HEAD + "    volumes:\n      - ./passwd:/d:ro\n", 6),
    "bind a folder with links": (HEAD + "    volumes:\n      - .:/d:ro\n", 6),
    "bind through a folder": (HEAD + "    volumes:\n      - type: bind\n        source: ./up/ssh\n        target: /d\n", 6),
    "build in a folder": ("services:\n  web:\n    build: folder\n", 2),
    "build upwards": ("services:\n  web:\n    build: ..\n", 3),
    "build of another file": ("services:\n  web:\n    build:\n      context: real\n      dockerfile: ../passwd\n", 2),
    "the file a link": ({"compose.yaml": "/etc/passwd"}, None),
    "the file through a link inside": ({"compose.yaml": "real/compose.yaml"}, None),
    "variables a link": ({".env": "/etc/environment"}, None),
}


def refused(owner, app):
    error = until(lambda: owner.get(f"/applications/{app['id']}")["error"], what="the refusal")
    assert error["code"] == "PATH_ESCAPE", error
    plan = owner.call("GET", f"/applications/{app['id']}/plan")
    assert plan.status_code == 422 and plan.json()["error"]["code"] == "PATH_ESCAPE", plan.text
    assert "root:" not in plan.text
    return plan.json()["error"]


def link(repo, links):
    for name, target in links.items():
        os.symlink(target, repo.work / name)


@pytest.mark.parametrize("way", WAYS)
def test_a_compose_file_stays_in_its_commit(owner, make_app, repo, way):
    content, line = WAYS[way]
    link(repo, LINKS)
    if isinstance(content, dict):
        link(repo, content)
    app, _ = make_app({**REAL, **({"compose.yaml": content} if isinstance(content, str) else {} if "compose.yaml" in content else {"compose.yaml": HEAD})})
    error = refused(owner, app)
    if line:
        assert error["details"]["file"] == "compose.yaml", error
        assert int(error["details"]["line"]) == line and int(error["details"]["column"]) >= 1, error
        assert error["message"].startswith(f"compose.yaml:{line}:"), error
    assert ended(owner, owner.post(f"/applications/{app['id']}/sync", {}), "failed")["error"]["code"] == "PATH_ESCAPE"


def test_nor_does_what_is_built(owner, docker, make_app, repo):
    """The tree alone names the context, so it is the deployment that finds the link in it."""
    link(repo, LINKS)
    app, _ = make_app({**REAL, "compose.yaml": "services:\n  web:\n    build: .\n", "Dockerfile": "FROM busybox:local\n"})
    error = ended(owner, owner.post(f"/applications/{app['id']}/sync", {}), "failed")["error"]
    assert error["code"] == "PATH_ESCAPE" and docker.running(app["projectName"]) == []


def test_an_application_does_not_lie_behind_a_link(owner, make_app, repo):
    link(repo, LINKS)
    for path in ("folder", "chain", "up"):
        app, _ = make_app({**REAL, "README": path}, path=path)
        refused(owner, app)


def test_nor_do_its_manifests(owner, home, make_repository, repo):
    for links in ({".dockflow": "real"}, {".dockflow/applications": "../real"}, {".dockflow/applications/x.yaml": "/etc/passwd"}):
        for name in links:
            (repo.work / name).parent.mkdir(parents=True, exist_ok=True)
        link(repo, links)
        repo.commit({**REAL, "real/applications/a.yaml": "kind: Application\n"}, unique("links"))
        r = make_repository()
        error = until(lambda: (now := owner.get(f"/repositories/{r['id']}"))["state"] == "error" and now["error"], what="the refusal")
        assert error["code"] == "PATH_ESCAPE" and ".dockflow" in error["message"], error
        assert owner.all("/applications", project=home["project"]["id"]) == []
        repo.commit({name: None for name in links}, "away")
