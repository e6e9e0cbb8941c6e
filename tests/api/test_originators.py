"""Work runs with the rights of who asked for it, as they are when it runs: those of the API token, not of the person behind it."""
import json

import pytest

from conftest import PLATFORM, Api, make_user, unique
from live import SERVICE, ended, queue_held, sql, until

DANGEROUS = SERVICE + "    ipc: host\n"


def token_of(person, *scopes, **more):
    made = person.make("/tokens", {"name": unique("t"), "scopes": list(scopes), "expiresInDays": 1, **more})
    robot = Api(person.server, made["token"])
    robot.id = made["id"]
    return robot


def test_a_narrow_token_does_not_lend_the_rights_of_its_owner(owner, docker, make_app):
    app, _ = make_app({"compose.yaml": DANGEROUS})
    robot = token_of(owner, "application:read", "application:sync")
    task = ended(owner, robot.post(f"/applications/{app['id']}/sync", {}), "failed")
    assert task["error"]["code"] == "POLICY_VIOLATION" and "container:host-namespaces" in json.dumps(task["error"])
    assert docker.running(app["projectName"]) == []
    able = token_of(owner, "application:read", "application:sync", "container:host-namespaces")
    ended(owner, able.post(f"/applications/{app['id']}/sync", {}))
    assert docker.inspect(f"{app['projectName']}-web-1")["HostConfig"]["IpcMode"] == "host"


def test_a_token_for_another_place_does_not_either(owner, docker, home, make_app):
    """Its rights end where its subtree does, for work as for requests."""
    app, _ = make_app({"compose.yaml": DANGEROUS})
    robot = token_of(owner, scopeId=app["id"])
    with queue_held(owner.server, app):
        asked = robot.post(f"/applications/{app['id']}/sync", {})
        sql(owner.server, "UPDATE api_tokens SET scope_id = %s WHERE id = %s", home["org"]["id"], robot.id)
    ended(owner, asked)
    with queue_held(owner.server, app):
        asked = robot.post(f"/applications/{app['id']}/sync", {})
        other = owner.make("/organizations", {"name": unique("org")})
        sql(owner.server, "UPDATE api_tokens SET scope_id = %s WHERE id = %s", other["id"], robot.id)
    assert ended(owner, asked, "failed")["error"]["code"] == "AUTHZ_REVOKED"


def test_an_automatic_sync_has_no_rights_to_lend(owner, docker, make_app):
    app, _ = make_app({"compose.yaml": DANGEROUS}, policy={"automated": True, "prune": True, "selfHeal": False})
    failed = until(lambda: [d for d in owner.get(f"/applications/{app['id']}/deployments")["items"] if d["status"] == "failed"])
    assert failed[0]["error"]["code"] == "POLICY_VIOLATION"


def revoke_token(owner, person, robot):
    person.delete(f"/tokens/{robot.id}", expect=204)


def expire_token(owner, person, robot):
    sql(owner.server, "UPDATE api_tokens SET expires_at = now() - interval '1 second' WHERE id = %s", robot.id)


def suspend(owner, person, robot):
    now = owner.get(f"/users/{person.user['id']}")
    owner.patch(f"/users/{person.user['id']}", {"active": False}, now["version"], expect=200)


def take_role(owner, person, robot):
    for binding in owner.get("/role-bindings", params={"subject": person.user["id"]})["items"]:
        owner.delete(f"/role-bindings/{binding['id']}", expect=204)


@pytest.mark.parametrize("act", [revoke_token, expire_token, suspend, take_role])
def test_what_waited_too_long_is_not_done(owner, docker, make_app, act):
    """RB9"""
    app, _ = make_app()
    person = make_user(owner, ("developer", PLATFORM))
    robot = token_of(person)
    with queue_held(owner.server, app):
        asked = robot.post(f"/applications/{app['id']}/sync", {})
        act(owner, person, robot)
    task = ended(owner, asked, "failed")
    assert task["error"]["code"] == "AUTHZ_REVOKED"
    assert docker.running(app["projectName"]) == []
    assert owner.get(f"/applications/{app['id']}/deployments")["items"] == []


def narrow_token(owner, person, robot):
    sql(owner.server, "UPDATE api_tokens SET scopes = '[\"application:read\", \"application:sync\"]' WHERE id = %s", robot.id)


def move_token(owner, person, robot):
    other = owner.make("/organizations", {"name": unique("org")})
    sql(owner.server, "UPDATE api_tokens SET scope_id = %s WHERE id = %s", other["id"], robot.id)


def approvals(owner, app):
    return owner.get(f"/applications/{app['id']}/approvals")["items"]


def auto_sync(owner, app, repo, message):
    """A commit that only automatic syncs deploy: the environment of the container afterwards, or the code of the refusal."""
    commit = repo.commit({"compose.yaml": DANGEROUS + f"    environment: {{MESSAGE: {message}}}\n"}, message)
    owner.post(f"/applications/{app['id']}/refresh")

    def outcome():
        made = [d for d in owner.get(f"/applications/{app['id']}/deployments")["items"] if d["commit"]["sha"] == commit]
        return made and (made[0]["status"] == "succeeded" or made[0]["status"] == "failed" and made[0]["error"]["code"])
    return until(outcome, seconds=60, what="deployment or refusal")


@pytest.mark.parametrize("act", [revoke_token, expire_token, narrow_token, move_token])
def test_what_a_token_approved_ends_with_the_token(owner, docker, make_app, repo, act):
    """An automatic sync may use again what a token deployed, as long as that token could deploy it itself."""
    app, _ = make_app({"compose.yaml": DANGEROUS}, syncPolicy={"automated": True})
    robot = token_of(owner, "application:read", "application:sync", "container:host-namespaces")
    ended(owner, robot.post(f"/applications/{app['id']}/sync", {}))
    (approval,) = approvals(owner, app)
    assert approval["token"]["id"] == robot.id and approval["approvedBy"]["name"] == "admin@localhost"
    assert auto_sync(owner, app, repo, "while it is valid") is True
    act(owner, owner, robot)
    assert auto_sync(owner, app, repo, "afterwards") == "POLICY_VIOLATION"
    if act is revoke_token:
        assert approvals(owner, app) == []
    # A person's own approval stands beside the token's, and does not end with it.
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    assert [a["token"] for a in approvals(owner, app) if a["token"] is None] == [None]
    assert auto_sync(owner, app, repo, "by the person") is True


def test_a_rollback_needs_the_right_to_roll_back(owner, docker, make_app):
    app, _ = make_app()
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    first = owner.get(f"/applications/{app['id']}/deployments")["items"][0]["id"]
    robot = token_of(owner, "application:read", "application:sync", "application:rollback")
    with queue_held(owner.server, app):
        asked = robot.post(f"/applications/{app['id']}/rollback", {"deploymentId": first})
        sql(owner.server, "UPDATE api_tokens SET scopes = '[\"application:read\", \"application:sync\"]' WHERE id = %s", robot.id)
    task = ended(owner, asked, "failed")
    assert task["error"]["code"] == "AUTHZ_REVOKED" and "application:rollback" in task["error"]["message"]


def test_a_removal_needs_its_right_too(owner, docker, make_app):
    app, _ = make_app()
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    robot = token_of(owner)
    with queue_held(owner.server, app):
        version = owner.get(f"/applications/{app['id']}")["version"]
        asked = robot.call("DELETE", f"/applications/{app['id']}?cascade=true", headers={"If-Match": f'"{version}"'}, expect=202)
        owner.delete(f"/tokens/{robot.id}", expect=204)
    assert ended(owner, asked, "failed")["error"]["code"] == "AUTHZ_REVOKED"
    assert docker.running(app["projectName"]) != []


MANIFEST = """\
apiVersion: dockflow.io/v1
kind: Application
metadata: {name: NAME}
spec:
  repository: {branch: main, path: ""}
  docker: {composeFile: compose.yaml}
"""


def manifest_error(owner, repository):
    def look():
        now = owner.get(f"/repositories/{repository['id']}")
        return now["state"] == "error" and now["error"]
    return until(look, what="refusal of the manifest")


def test_manifests_act_with_the_token_that_configured_the_repository(owner, home, repo):
    repo.commit({"compose.yaml": SERVICE, ".dockflow/applications/a.yaml": MANIFEST.replace("NAME", unique("m"))})
    body = {"url": str(repo.bare), "projectId": home["project"]["id"]}
    narrow = token_of(owner, "repository:read", "repository:create")
    refused = narrow.make("/repositories", {"name": unique("r"), **body})
    assert manifest_error(owner, refused)["code"] == "INSUFFICIENT_PERMISSIONS"
    lost = token_of(owner)
    other = lost.make("/repositories", {"name": unique("r"), **body, "pollSeconds": 86400})
    until(lambda: owner.get("/applications", params={"repository": other["id"]})["items"], what="application of the manifest")
    owner.delete(f"/tokens/{lost.id}", expect=204)
    repo.commit({".dockflow/applications/b.yaml": MANIFEST.replace("NAME", unique("m"))})
    owner.post(f"/repositories/{other['id']}/refresh", expect=202)
    assert manifest_error(owner, other)["code"] == "AUTHZ_REVOKED"
