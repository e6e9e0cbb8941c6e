"""Containers under an application's project name that are not its own."""
from conftest import code, make_user
from live import SERVICE, application, ended, until


def foreign(docker, project, *labels):
    name = f"{project}-web-1"
    more = [x for label in labels for x in ("--label", label)]
    docker("run", "-d", "--name", name, "--label", f"com.docker.compose.project={project}", "--label", "com.docker.compose.service=web",
           "--label", "com.docker.compose.container-number=1", *more, "busybox:local", "sh", "-c", "while :; do sleep 1; done")
    return docker.inspect(name)["Id"]


def test_a_project_of_somebody_else_is_not_taken_over(owner, live_server, docker, make_app, home):
    app, sha = make_app({"compose.yaml": SERVICE})
    old = foreign(docker, app["projectName"])
    plan = owner.post(f"/applications/{app['id']}/sync", {"dryRun": True})
    assert plan.status_code == 409 and plan.json()["error"]["details"]["containers"] == [f"{app['projectName']}-web-1"]
    task = ended(owner, owner.post(f"/applications/{app['id']}/sync", {}), "failed")
    assert task["error"]["code"] == "CONFLICT" and "adopt" in task["error"]["message"]
    owner.patch(f"/applications/{app['id']}", {"syncPolicy": {"automated": True, "selfHeal": True}}, version=owner.get(f"/applications/{app['id']}")["version"])
    # Automatic syncs never adopt, and the status says why nothing happens.
    until(lambda: (owner.get(f"/applications/{app['id']}")["error"] or {}).get("code") == "CONFLICT", what="the conflict in the status")
    assert docker.inspect(f"{app['projectName']}-web-1")["Id"] == old
    # Who may deploy here may not thereby stop what others run on the node.
    developer = make_user(owner, ("developer", home["project"]["id"]))
    refused = developer.post(f"/applications/{app['id']}/sync", {"adopt": True})
    assert refused.status_code == 403 and refused.json()["error"]["details"]["permission"] == "container:stop"

    plan = owner.post(f"/applications/{app['id']}/sync", {"dryRun": True, "adopt": True}, expect=200).json()
    assert [c["code"] for op in plan["ops"] if op["kind"] == "create" for c in op["cause"]] == ["adopted"]
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {"adopt": True}))
    now = docker.inspect(f"{app['projectName']}-web-1")
    assert now["Id"] != old and now["Config"]["Labels"]["io.dockflow.application"] == app["id"]
    application(owner, app, sync="Synced", health="Healthy", deployed=sha)


def test_another_applications_containers_stay(owner, live_server, docker, make_app):
    other, _ = make_app({"compose.yaml": SERVICE})
    app, _ = make_app({"compose.yaml": SERVICE + "    labels: {second: 'yes'}\n"})
    old = foreign(docker, app["projectName"], f"io.dockflow.application={other['id']}")
    task = ended(owner, owner.post(f"/applications/{app['id']}/sync", {"adopt": True}), "failed")
    assert task["error"]["code"] == "CONFLICT" and "another application" in task["error"]["message"]
    assert docker.inspect(f"{app['projectName']}-web-1")["Id"] == old
    # What a removed application left behind belongs to nobody.
    owner.delete(f"/applications/{other['id']}", version=owner.get(f"/applications/{other['id']}")["version"])
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {"adopt": True}))
    assert docker.inspect(f"{app['projectName']}-web-1")["Id"] != old
