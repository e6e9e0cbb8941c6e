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
