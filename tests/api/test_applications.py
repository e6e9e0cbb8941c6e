"""Applications from repository to running containers and back."""
import concurrent.futures
import json
import time

import pytest

from conftest import code, unique
from live import SERVICE, application, ended, until


def compose(text):
    return {"compose.yaml": text}


def test_from_repository_to_running_container(owner, docker, make_app):
    app, sha = make_app()
    assert app["scopeId"] == app["id"] and app["projectName"] == app["name"] and app["origin"] == "api"
    before = application(owner, app, sync="OutOfSync", health="Missing", desired=sha)
    assert before["sync"]["deployedCommit"] is None
    task = ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    assert [s["title"] for s in task["steps"]] == ["resolve", "render", "plan", "apply"]
    assert task["title"] == f"Sync {app['name']}" and task["object"] == {"kind": "application", "id": app["id"], "name": app["name"]}
    after = application(owner, app, sync="Synced", health="Healthy", deployed=sha)
    assert after["operation"] is None and after["error"] is None
    assert after["lastDeployment"]["status"] == "succeeded" and after["lastDeployment"]["commit"] == sha
    assert docker.running(app["projectName"]) == [f"{app['projectName']}-web-1"]


def test_a_new_commit_updates_what_runs(owner, docker, make_app, repo):
    app, first = make_app(policy={"automated": True, "prune": True, "selfHeal": False})
    application(owner, app, sync="Synced", health="Healthy", deployed=first)
    name = f"{app['projectName']}-web-1"
    old = docker.inspect(name)["Id"]
    second = repo.commit(compose(SERVICE.replace("hello", "good morning")), "greet politely")
    ended(owner, owner.post(f"/repositories/{app['repository']['id']}/refresh"))
    application(owner, app, seconds=40, sync="Synced", health="Healthy", deployed=second)
    assert docker.running(app["projectName"]) == [name]
    assert docker.inspect(name)["Id"] != old
    assert "good morning" in docker.inspect(name)["Config"]["Cmd"][2]
    newest = owner.get(f"/applications/{app['id']}/deployments")["items"][0]
    assert newest["commit"]["sha"] == second and newest["commit"]["message"].startswith("greet politely")
    assert newest["trigger"] == "auto" and newest["user"] is None and newest["number"] == 2


def test_variables_reach_the_containers(owner, docker, make_app):
    app, _ = make_app(environment={"name": "prod", "variables": {"GREETING": "moon"}})
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    until(lambda: "hello moon" in docker("logs", f"{app['projectName']}-web-1"), 10)
    current = application(owner, app, sync="Synced")
    owner.patch(f"/applications/{app['id']}", {"environment": {"name": "prod", "variables": {"GREETING": "mars"}}}, current["version"], expect=200)
    application(owner, app, sync="OutOfSync")
    plan = owner.get(f"/applications/{app['id']}/plan")
    assert not plan["empty"] and {o["kind"] for o in plan["ops"]} >= {"create", "stop", "remove"}
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    until(lambda: "hello mars" in docker("logs", f"{app['projectName']}-web-1"), 10)


def test_a_broken_file_is_named_to_the_column(owner, make_app, repo):
    app, _ = make_app(compose("services:\n  web:\n    image: busybox:local\n    ports:\n      - [nonsense\n"))
    bad = until(lambda: (a := owner.get(f"/applications/{app['id']}"))["error"] and a)
    assert bad["sync"]["status"] == "Unknown"
    error = bad["error"]
    assert error["code"] == "INVALID_YAML"
    assert error["details"]["file"] == "compose.yaml" and int(error["details"]["line"]) >= 5 and int(error["details"]["column"]) >= 1
    assert error["message"].startswith("compose.yaml:")
    task = ended(owner, owner.post(f"/applications/{app['id']}/sync", {}), "failed")
    assert task["error"]["code"] == "INVALID_YAML"
    sha = repo.commit(compose(SERVICE), "repair")
    ended(owner, owner.post(f"/applications/{app['id']}/refresh"))
    good = application(owner, app, sync="OutOfSync", desired=sha)
    assert good["error"] is None


def test_a_wrong_type_is_named_to_the_line(owner, make_app):
    app, _ = make_app(compose("services:\n  web:\n    image: busybox:local\n    ports: 17\n"))
    bad = until(lambda: (a := owner.get(f"/applications/{app['id']}"))["error"] and a)
    assert int(bad["error"]["details"]["line"]) == 4 and bad["error"]["details"]["file"] == "compose.yaml"


def test_drift_is_repaired(owner, docker, make_app):
    app, sha = make_app(policy={"automated": True, "prune": True, "selfHeal": True})
    application(owner, app, sync="Synced", health="Healthy", deployed=sha)
    name = f"{app['projectName']}-web-1"
    docker("kill", name)
    begin = time.monotonic()
    until(lambda: docker.running(app["projectName"]) == [name], 20, what="self-heal")
    took = time.monotonic() - begin
    application(owner, app, sync="Synced", health="Healthy")
    docker("rm", "-f", name)
    until(lambda: docker.running(app["projectName"]) == [name], 20, what="self-heal after removal")
    application(owner, app, sync="Synced", health="Healthy")
    triggers = [d["trigger"] for d in owner.get(f"/applications/{app['id']}/deployments")["items"]]
    assert triggers.count("selfHeal") >= 2, triggers
    assert took < 10


def test_drift_is_only_shown_without_self_heal(owner, docker, make_app):
    app, _ = make_app()
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    application(owner, app, sync="Synced", health="Healthy")
    docker("rm", "-f", f"{app['projectName']}-web-1")
    shown = application(owner, app, sync="OutOfSync")
    assert shown["sync"]["reasons"] and shown["health"]["status"] in ("Missing", "Degraded")
    time.sleep(1.5)
    assert docker.running(app["projectName"]) == []


def test_rollback_runs_what_ran_before(owner, docker, make_app, repo):
    app, first = make_app()
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    repo.commit(compose(SERVICE.replace("hello", "second")), "two")
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    name = f"{app['projectName']}-web-1"
    until(lambda: "second" in docker("logs", name), 10)
    history = owner.get(f"/applications/{app['id']}/deployments")["items"]
    assert [d["number"] for d in history] == [2, 1] and {d["status"] for d in history} == {"succeeded"}
    ended(owner, owner.post(f"/applications/{app['id']}/rollback", {"deploymentId": history[1]["id"]}))
    until(lambda: "hello" in docker("logs", name), 10)
    back = application(owner, app, deployed=first)
    assert back["sync"]["fencedCommit"] == back["sync"]["desiredCommit"] != first
    deployment = owner.get(f"/deployments/{back['lastDeployment']['id']}")
    assert deployment["trigger"] == "rollback" and deployment["user"]["name"] == "admin@localhost"
    assert {o["state"] for o in deployment["ops"]} == {"succeeded"} and deployment["ops"][0]["title"]
    r = owner.post(f"/applications/{app['id']}/rollback", {"deploymentId": app["id"]})
    assert r.status_code == 422 and r.json()["error"]["field"] == "/deploymentId"


def test_dry_run_changes_nothing(owner, docker, make_app):
    app, sha = make_app()
    r = owner.post(f"/applications/{app['id']}/sync", {"dryRun": True}, expect=200)
    plan = r.json()
    assert plan["commit"]["sha"] == sha and plan["commit"]["author"] and not plan["empty"]
    assert [o["kind"] for o in plan["ops"] if o["service"] == "web"][:1] == ["create"]
    for op in plan["ops"]:
        assert op["title"] and op["cause"] and isinstance(op["dependsOn"], list)
    assert docker.containers(app["projectName"]) == {}
    assert owner.get(f"/applications/{app['id']}/deployments")["items"] == []


SLOW = """\
services:
  web:
    image: busybox:local
    command: ["sleep", "600"]
    stop_grace_period: 1s
    healthcheck:
      test: ["CMD", "test", "-f", "/never"]
      interval: 1s
      retries: 600
"""


def test_cancel_stops_the_work(owner, docker, make_app):
    app, _ = make_app(compose(SLOW))
    r = owner.post(f"/applications/{app['id']}/sync", {})
    key = r.json()["taskId"]
    until(lambda: docker.running(app["projectName"]), 20, what="container of the waiting sync")
    begin = time.monotonic()
    owner.post(f"/tasks/{key}/cancel", expect=202)
    ended(owner, r, "cancelled", seconds=20)
    assert time.monotonic() - begin < 15
    last = until(lambda: (d := owner.get(f"/applications/{app['id']}/deployments")["items"][0])["status"] == "cancelled" and d)
    assert last["finishedAt"]
    assert owner.get(f"/applications/{app['id']}")["operation"] is None
    assert owner.post(f"/tasks/{key}/cancel").status_code == 409


def test_delete_with_everything(owner, docker, make_app):
    app, _ = make_app()
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    current = application(owner, app, sync="Synced")
    assert owner.delete(f"/applications/{app['id']}?cascade=true").status_code == 428
    assert owner.delete(f"/applications/{app['id']}?cascade=true", version=999).status_code == 412
    r = owner.delete(f"/applications/{app['id']}?cascade=true", version=current["version"], expect=202)
    ended(owner, r)
    assert owner.call("GET", f"/applications/{app['id']}").status_code == 404
    assert docker.containers(app["projectName"]) == {}
    assert docker("network", "ls", "-q", "--filter", f"label=com.docker.compose.project={app['projectName']}") == ""


def test_delete_of_the_record_alone(owner, docker, make_app):
    app, _ = make_app()
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    current = application(owner, app, sync="Synced")
    owner.delete(f"/applications/{app['id']}", version=current["version"], expect=204)
    assert owner.call("GET", f"/applications/{app['id']}").status_code == 404
    assert docker.running(app["projectName"])


def test_prune_and_several_services(owner, docker, make_app, repo):
    two = SERVICE + "  worker:\n    image: busybox:local\n    command: [sleep, '600']\n    stop_grace_period: 1s\n    depends_on: [web]\n"
    app, _ = make_app(compose(two))
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    names = [f"{app['projectName']}-{s}-1" for s in ("web", "worker")]
    assert docker.running(app["projectName"]) == names
    tree = owner.get(f"/applications/{app['id']}/resources")["nodes"]
    kinds = [n["kind"] for n in tree]
    assert kinds.count("container") == 2 and kinds.count("service") == 2 and "network" in kinds and kinds[0] == "application"
    ids = {n["id"] for n in tree}
    assert all(set(n["parentIds"]) <= ids for n in tree)
    rendered = owner.get(f"/applications/{app['id']}/manifest")
    assert set(rendered["rendered"]["services"]) == {"web", "worker"} and rendered["files"][0]["path"] == "compose.yaml"
    repo.commit(compose(SERVICE), "one is enough")
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {"prune": True}))
    assert docker.running(app["projectName"]) == names[:1]


def test_diff_names_the_line(owner, make_app, repo):
    app, _ = make_app()
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    repo.commit(compose(SERVICE.replace("2s", "3s")), "slower")
    ended(owner, owner.post(f"/applications/{app['id']}/refresh"))
    application(owner, app, sync="OutOfSync")
    web = owner.get(f"/applications/{app['id']}/diff")["services"][0]
    assert web["name"] == "web" and web["changes"]
    change = next(c for c in web["changes"] if "stop_grace_period" in c["path"])
    assert (change["live"], change["desired"]) == ("2s", "3s") and change["source"] == {"file": "compose.yaml", "line": 5}


# ---- the record ------------------------------------------------------------------------------------

def test_names_paths_and_references_are_checked(owner, home, make_repository, repo, user):
    repo.commit(compose(SERVICE))
    base = {"name": unique("a"), "projectId": home["project"]["id"], "repositoryId": make_repository()["id"]}
    for change, status, field in (
            ({"name": "Not Good"}, 422, "/name"),
            ({"path": "../etc"}, 422, "/path"),
            ({"path": "/etc"}, 422, "/path"),
            ({"composeFiles": ["ok.yaml", "../../x"]}, 422, "/composeFiles/1"),
            ({"branch": "-x"}, 422, "/branch"),
            ({"branch": "a..b"}, 422, "/branch"),
            ({"repositoryId": home["org"]["id"]}, 422, "/repositoryId"),
            ({"nodeId": home["org"]["id"]}, 422, "/nodeId"),
            ({"environment": {"variables": {"1X": "y"}}}, 422, "/environment/variables/1X"),
            ({"environment": {"variables": {"X": 1}}}, 422, "/environment/variables/X"),
            ({"orgId": home["org"]["id"]}, 400, "/orgId"),
            ({"syncPolicy": {"automatic": True}}, 400, "/syncPolicy/automatic")):
        r = owner.post("/applications", {**base, **change})
        assert (r.status_code, r.json()["error"].get("field")) == (status, field), (change, r.text)
    app = owner.make("/applications", base)
    assert owner.post("/applications", base).status_code == 409
    assert owner.get(f"/applications/{app['name']}")["id"] == app["id"]
    owner.delete(f"/applications/{app['id']}", version=app["version"], expect=204)


def test_replace_and_patch_need_the_version(owner, make_app):
    app, _ = make_app()
    path = f"/applications/{app['id']}"
    assert owner.patch(path, {"description": "x"}).status_code == 428
    changed = owner.patch(path, {"description": "x", "labels": {"team": "a"}}, app["version"], expect=200).json()
    assert changed["version"] == app["version"] + 1 and changed["description"] == "x"
    assert owner.patch(path, {"description": "y"}, app["version"]).status_code == 412
    r = owner.put(path, {"name": app["name"], "repositoryId": app["repository"]["id"], "environment": {"name": "other"}, "syncPolicy": {"selfHeal": True}},
                  changed["version"], expect=200)
    new = r.json()
    assert new["description"] == "" and new["labels"] == {} and new["environment"]["name"] == "other" and new["branch"] == ""
    assert new["syncPolicy"] == {"automated": False, "prune": False, "selfHeal": True, "allowEmpty": False}


def test_somebody_else_does_not_see_it(owner, make_app, live_server):
    from conftest import make_org, make_user
    app, _ = make_app()
    other = make_org(owner)
    stranger = make_user(owner, ("admin", other["org"]["id"]))
    role = owner.make("/roles", {"name": unique("deployer"), "description": "", "permissions": ["node:read", "node:use"], "inherits": []})
    owner.make("/role-bindings", {"subjectKind": "user", "subjectId": stranger.user["id"], "role": role["name"],
                                  "scopeId": "00000000-0000-7000-8000-000000000000"})
    reader = make_user(owner, ("viewer", app["projectId"]))
    for method, path in (("GET", ""), ("GET", "/plan"), ("GET", "/resources"), ("GET", "/deployments"), ("POST", "/sync"), ("POST", "/refresh"), ("DELETE", "")):
        r = stranger.call(method, f"/applications/{app['id']}{path}", json={} if method == "POST" and path == "/sync" else None)
        assert r.status_code == 404, (method, path, r.text)
        missing = stranger.call(method, f"/applications/01900000-0000-7000-8000-000000000000{path}", json={} if method == "POST" and path == "/sync" else None)
        assert missing.json()["error"]["message"] == r.json()["error"]["message"]
    assert app["id"] not in [a["id"] for a in stranger.all("/applications")]
    assert [a["id"] for a in reader.all("/applications")] == [app["id"]]
    assert reader.post(f"/applications/{app['id']}/sync", {}).status_code == 403
    # A right that is only there in another organization does not reach this repository.
    r = stranger.post("/applications", {"name": unique("x"), "projectId": other["project"]["id"], "repositoryId": app["repository"]["id"]})
    assert r.status_code == 422 and r.json()["error"]["field"] == "/repositoryId"


def test_node_use_is_needed(owner, home, make_repository, repo):
    from conftest import make_user
    repo.commit(compose(SERVICE))
    repository = make_repository()
    developer = make_user(owner, ("developer", home["org"]["id"]))  # nothing at the platform, where the default node is
    r = developer.post("/applications", {"name": unique("a"), "projectId": home["project"]["id"], "repositoryId": repository["id"]})
    assert r.status_code in (403, 422) and r.json()["error"]["field"] == "/nodeId"


def test_privileged_needs_the_right(owner, home, docker, repo, make_repository):
    from conftest import make_user
    repo.commit(compose(SERVICE.replace("    stop_grace", "    privileged: true\n    stop_grace")))
    repository = make_repository()
    developer = make_user(owner, ("developer", home["org"]["id"]), ("developer", "00000000-0000-7000-8000-000000000000"))
    app = developer.make("/applications", {"name": unique("a"), "projectId": home["project"]["id"], "repositoryId": repository["id"]})
    task = ended(developer, developer.post(f"/applications/{app['id']}/sync", {}), "failed")
    assert task["error"]["code"] == "POLICY_VIOLATION", task["error"]
    assert docker.containers(app["projectName"]) == {}
    docker.sweep(app["projectName"])


def test_audit_and_activity_tell(owner, make_app):
    app, _ = make_app()
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    entries = owner.get("/audit-logs", params={"resource": app["id"]})["items"]
    assert {"application.create", "application.sync"} <= {e["action"] for e in entries}
    created = next(e for e in entries if e["action"] == "application.create")
    assert created["after"]["name"] == app["name"]


# ---- manifests in the repository ----------------------------------------------------------------------

MANIFEST = """\
apiVersion: dockflow.io/v1
kind: Application
metadata:
  name: {name}
  labels: {{team: shop}}
spec:
  repository: {{path: deploy}}
  docker: {{composeFile: compose.yaml}}
  environments:
    - name: production
      node: default
      variables: {{GREETING: manifest}}
  syncPolicy: {{automated: true, prune: true, selfHeal: false}}
"""


def refresh(owner, repository, state="succeeded"):
    return ended(owner, owner.post(f"/repositories/{repository['id']}/refresh"), state)


def by_name(owner, home, name):
    return next((a for a in owner.all("/applications", project=home["project"]["id"]) if a["name"] == name), None)


def test_manifests_make_applications(owner, home, docker, repo, make_repository):
    name = unique("m")
    repo.commit({"deploy/compose.yaml": SERVICE, ".dockflow/applications/shop.yaml": MANIFEST.format(name=name)})
    repository = make_repository()
    app = until(lambda: by_name(owner, home, name))
    try:
        assert app["origin"] == "git" and app["manifestPath"] == ".dockflow/applications/shop.yaml" and app["path"] == "deploy"
        assert app["environment"] == {"name": "production", "variables": {"GREETING": "manifest"}} and app["labels"] == {"team": "shop"}
        application(owner, app, sync="Synced", health="Healthy")
        until(lambda: "hello manifest" in docker("logs", f"{app['projectName']}-web-1"), 10)
        # Git is where it is changed, not here.
        current = owner.get(f"/applications/{app['id']}")
        for r in (owner.patch(f"/applications/{app['id']}", {"description": "x"}, current["version"]), owner.delete(f"/applications/{app['id']}", current["version"])):
            assert r.status_code == 409 and r.json()["error"]["details"]["manifestPath"] == app["manifestPath"]
        repo.commit({".dockflow/applications/shop.yaml": MANIFEST.format(name=name).replace("GREETING: manifest", "GREETING: again")})
        refresh(owner, repository)
        until(lambda: "hello again" in docker("logs", f"{app['projectName']}-web-1", check=False), 30)
        # A manifest that vanishes leaves everything running.
        repo.commit({".dockflow/applications/shop.yaml": None})
        refresh(owner, repository)
        freed = owner.get(f"/applications/{app['id']}")
        assert freed["origin"] == "api" and freed["manifestPath"] is None and docker.running(app["projectName"])
        owner.delete(f"/applications/{app['id']}", freed["version"], expect=204)
    finally:
        docker.sweep(app["projectName"])


def test_several_environments_make_several_applications(owner, home, repo, make_repository):
    name = unique("m")
    text = MANIFEST.format(name=name).replace("automated: true", "automated: false")
    text = text.replace("  syncPolicy", "    - name: staging\n      variables: {PORT: 8080}\n  syncPolicy")
    repo.commit({"deploy/compose.yaml": SERVICE, ".dockflow/applications/shop.yaml": text})
    make_repository()
    staging = until(lambda: by_name(owner, home, f"{name}-staging"))
    assert by_name(owner, home, f"{name}-production") and by_name(owner, home, name) is None
    assert staging["environment"]["variables"] == {"PORT": "8080"} and staging["node"]["name"] == "default"


@pytest.mark.parametrize("change, line, column, code_", [
    (("kind: Application", "kind: Application\nsurprise: 1"), 3, 1, "UNKNOWN_FIELD"),
    (("automated: true", "automated: 7"), 13, 27, "SCHEMA_VIOLATION"),
    (("node: default", "node: nowhere"), 11, 13, "INVALID_INPUT"),
    (("path: deploy", "path: ../x"), 7, 22, "PATH_ESCAPE"),
    (("dockflow.io/v1", "dockflow.io/v9"), 1, 13, "SCHEMA_VIOLATION"),
    (("metadata:", "metadata: ["), None, None, "INVALID_YAML"),
])
def test_errors_in_manifests_have_a_place(owner, home, repo, make_repository, change, line, column, code_):
    name = unique("m")
    good, bad = MANIFEST.format(name=unique("good")), MANIFEST.format(name=name).replace(*change)
    repo.commit({"deploy/compose.yaml": SERVICE, ".dockflow/applications/a.yaml": good, ".dockflow/applications/b.yaml": bad})
    repository = make_repository()
    wrong = until(lambda: (r := owner.get(f"/repositories/{repository['id']}"))["state"] == "error" and r)
    error = wrong["error"]
    assert error["code"] == code_ and error["details"]["file"] == ".dockflow/applications/b.yaml", error
    if line:
        assert (int(error["details"]["line"]), int(error["details"]["column"])) == (line, column), error
    assert owner.all("/applications", project=home["project"]["id"]) == []  # nothing of a commit that is partly wrong
    repo.commit({".dockflow/applications/b.yaml": None, ".dockflow/applications/a.yaml": good.replace("automated: true", "automated: false")})
    refresh(owner, repository)
    assert owner.get(f"/repositories/{repository['id']}")["state"] == "ok"
    assert len(owner.all("/applications", project=home["project"]["id"])) == 1


def test_a_manifest_has_the_rights_of_who_configured(owner, home, repo, make_repository):
    from conftest import make_user
    developer = make_user(owner, ("developer", home["org"]["id"]))  # may not use the platform's node
    repo.commit({"deploy/compose.yaml": SERVICE, ".dockflow/applications/a.yaml": MANIFEST.format(name=unique("m"))})
    repository = developer.make("/repositories", {"name": unique("r"), "url": str(repo.bare), "projectId": home["project"]["id"]})
    wrong = until(lambda: (r := owner.get(f"/repositories/{repository['id']}"))["state"] == "error" and r)
    assert wrong["error"]["code"] == "INSUFFICIENT_PERMISSIONS" and "node:use" in wrong["error"]["message"]
    assert owner.all("/applications", project=home["project"]["id"]) == []
