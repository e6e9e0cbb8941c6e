"""What automatic syncs may and may not do, whatever waits in the queue."""
import time
import uuid

from live import SERVICE, application, ended, sql


def queue_automatic(server, app, sha, trigger):
    """As a poll does that was overtaken by a person before its turn came."""
    job = str(uuid.uuid4())
    sql(server, "INSERT INTO jobs (id, kind, key, org_id, scope_id, object_kind, object_id, payload) SELECT %s, 'application.sync', "
                "'app:' || id, org_id, id, 'application', id::text, jsonb_build_object('trigger', %s::text, 'revision', %s::text) "
                "FROM applications WHERE id = %s; NOTIFY df_jobs", job, trigger, sha, app["id"])
    return job


def task(owner, key):
    end = time.time() + 30
    while time.time() < end:
        t = owner.get(f"/tasks/{key}")
        if t["state"] not in ("queued", "running"):
            return t
        time.sleep(0.1)
    raise AssertionError(t)


def test_a_queued_automatic_sync_does_not_undo_a_rollback(live_server, owner, docker, make_app, repo):
    app, first = make_app(policy={"automated": True, "prune": True, "selfHeal": True})
    application(owner, app, sync="Synced", health="Healthy", deployed=first)
    second = repo.commit({"compose.yaml": SERVICE.replace("hello", "second")}, "two")
    ended(owner, owner.post(f"/repositories/{app['repository']['id']}/refresh"))
    application(owner, app, seconds=40, sync="Synced", deployed=second)
    history = owner.get(f"/applications/{app['id']}/deployments")["items"]
    ended(owner, owner.post(f"/applications/{app['id']}/rollback", {"deploymentId": history[-1]["id"]}))
    application(owner, app, deployed=first)
    for trigger in ("poll", "self-heal"):
        assert task(owner, queue_automatic(live_server, app, second, trigger))["state"] == "succeeded"
    now = application(owner, app, deployed=first)
    assert now["sync"]["fencedCommit"] == second and now["sync"]["desiredCommit"] == second
    ran = [d["trigger"] for d in owner.get(f"/applications/{app['id']}/deployments")["items"]]
    assert ran == ["rollback", "auto", "auto"]


def test_an_automatic_sync_with_nothing_to_do_leaves_no_record(live_server, owner, docker, make_app):
    app, sha = make_app(policy={"automated": True, "selfHeal": True})
    application(owner, app, sync="Synced", health="Healthy", deployed=sha)
    before = owner.get(f"/applications/{app['id']}/deployments")["items"]
    for trigger in ("poll", "self-heal", "webhook"):
        assert task(owner, queue_automatic(live_server, app, sha, trigger))["state"] == "succeeded"
    assert owner.get(f"/applications/{app['id']}/deployments")["items"] == before
    assert application(owner, app, sync="Synced", deployed=sha)["operation"] is None


def test_many_broken_commits_do_not_keep_a_good_one_out(live_server, owner, docker, make_app, repo):
    app, first = make_app(policy={"automated": True, "prune": True, "selfHeal": False})
    application(owner, app, sync="Synced", health="Healthy", deployed=first)
    sql(live_server, "UPDATE applications SET sync_failures = 50 WHERE id = %s", app["id"])
    good = repo.commit({"compose.yaml": SERVICE.replace("hello", "good")}, "good at last")
    ended(owner, owner.post(f"/repositories/{app['repository']['id']}/refresh"))
    application(owner, app, seconds=40, sync="Synced", health="Healthy", deployed=good)


def test_labels_of_ours_cannot_be_claimed(owner, docker, make_app):
    files = {"compose.yaml": SERVICE + "    labels: {io.dockflow.files: theirs_files_1, io.dockflow.application: 'x', mine: 'yes'}\n"}
    app, _ = make_app(files)
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    labels = docker.inspect(f"{app['projectName']}-web-1")["Config"]["Labels"]
    assert labels["mine"] == "yes" and labels["io.dockflow.application"] == app["id"] and "io.dockflow.files" not in labels
