"""Revoked credentials end everywhere: while nobody listens, on open streams, through tickets; rights that change do not lock out."""
import asyncio
import contextlib
import json
import time

import httpx
import pytest
import websockets

from conftest import PLATFORM, Api, make_user
from live import ended, queue_held, sql


def within(seconds, what):
    end = time.time() + seconds
    while time.time() < end:
        if what():
            return True
        time.sleep(0.1)
    return False


def live_session(db, name):
    return db.one("SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.username = %s AND s.revoked_at IS NULL "
                  "ORDER BY s.created_at DESC LIMIT 1", name)


def revoke_unheard(db, table, row):
    """As by another process whose notification is lost."""
    db.rows(f"SET session_replication_role = replica; UPDATE {table} SET revoked_at = now() WHERE id = %s", row)


def closed_after(server, ticket, act, seconds):
    """Code with which the event stream opened with this ticket ends after act()."""
    async def run():
        url = server.url.replace("http", "ws") + "/ws/v1/events"
        async with websockets.connect(url, subprotocols=["dockflow.v1", "ticket." + ticket]) as ws:
            await asyncio.to_thread(act)
            await asyncio.wait_for(ws.wait_closed(), seconds)
            return ws.close_code
    return asyncio.run(run())


def ticket_of(api):
    return api.post("/ws-tickets", expect=201).json()["ticket"]


def test_a_session_revoked_unheard_ends_within_seconds(server, db, admin):
    user = make_user(admin, ("viewer", PLATFORM))
    assert user.call("GET", "/auth/me").status_code == 200
    session = live_session(db, user.user["username"])
    assert closed_after(server, ticket_of(user), lambda: revoke_unheard(db, "sessions", session), 12) == 4401
    assert user.call("GET", "/auth/me").status_code == 401


def test_a_token_revoked_unheard_ends_within_seconds(server, db, admin):
    user = make_user(admin, ("viewer", PLATFORM))
    made = user.make("/tokens", {"name": "unheard", "expiresInDays": 1})
    robot = Api(server, made["token"])
    assert robot.call("GET", "/auth/me").status_code == 200
    revoke_unheard(db, "api_tokens", made["id"])
    assert within(12, lambda: robot.call("GET", "/auth/me").status_code == 401)


def test_revoking_a_token_closes_its_streams(server, admin):
    user = make_user(admin, ("viewer", PLATFORM))
    made = user.make("/tokens", {"name": "stream", "expiresInDays": 1})
    ticket = ticket_of(Api(server, made["token"]))
    assert closed_after(server, ticket, lambda: user.delete(f"/tokens/{made['id']}", expect=204), 5) == 4401


def test_a_ticket_dies_with_its_token(server, admin):
    user = make_user(admin, ("viewer", PLATFORM))
    made = user.make("/tokens", {"name": "ticket", "expiresInDays": 1})
    ticket = ticket_of(Api(server, made["token"]))
    user.delete(f"/tokens/{made['id']}", expect=204)
    with pytest.raises(websockets.InvalidStatusCode) as refused:
        closed_after(server, ticket, lambda: None, 2)
    assert refused.value.status_code == 401


def test_a_token_outlives_a_change_of_its_owner(server, admin):
    """The owner's epoch moves; the token is good for whatever he may do now, at once."""
    user = make_user(admin, ("viewer", PLATFORM))
    robot = Api(server, user.make("/tokens", {"name": "stays", "expiresInDays": 1})["token"])
    assert robot.call("GET", "/auth/me").status_code == 200
    admin.patch(f"/users/{user.user['id']}", {"password": "another real phrase 77", "mustChangePassword": False},
                version=admin.get(f"/users/{user.user['id']}")["version"], expect=200)
    assert user.call("GET", "/auth/me").status_code == 401
    assert robot.call("GET", "/auth/me").status_code == 200


# ---- TK7: every way to lose one's rights, on every kind of stream -----------------------------------------

def logout(owner, person):
    person.post("/auth/logout", expect=204)


def disable(owner, person):
    owner.patch(f"/users/{person.user['id']}", {"active": False}, owner.get(f"/users/{person.user['id']}")["version"], expect=200)


def take_roles(owner, person):
    for binding in owner.get("/role-bindings", params={"subject": person.user["id"]})["items"]:
        owner.delete(f"/role-bindings/{binding['id']}", expect=204)


def change_password(owner, person):
    person.post("/auth/change-password", {"currentPassword": person.password, "newPassword": "yet another phrase 8"}, expect=204)


def reset_password(owner, person):
    owner.patch(f"/users/{person.user['id']}", {"password": "another real phrase 77", "mustChangePassword": False},
                owner.get(f"/users/{person.user['id']}")["version"], expect=200)


async def socket_end(person, path, hello, opened):
    url = person.server.url.replace("http", "ws") + path
    ticket = await asyncio.to_thread(ticket_of, person)
    async with websockets.connect(url, subprotocols=["dockflow.v1", "ticket." + ticket]) as ws:
        if hello:
            await ws.send(hello)
            await ws.recv()
        opened.release()
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await ws.recv()
        return ws.close_code


async def sse_end(person, path, opened):
    """Code of the last event; the response has ended."""
    headers = {"Authorization": f"Bearer {person.token}", "Accept": "text/event-stream"}
    code = None
    async with httpx.AsyncClient(base_url=person.server.url, headers=headers, timeout=60) as http:
        async with http.stream("GET", path) as r:
            assert r.status_code == 200
            opened.release()
            async for line in r.aiter_lines():
                if line.startswith("data: ") and '"closed"' in line:
                    code = json.loads(line[6:])["code"]
    return code


def streams_end(person, container, task, act):
    """Codes with which his open streams end, and how long that took after act()."""
    subscribe = json.dumps({"type": "subscribe", "id": "a", "topics": ["*"]})

    async def run():
        opened = asyncio.Semaphore(0)
        streams = [socket_end(person, f"/ws/v1/containers/{container}/logs", None, opened), socket_end(person, "/ws/v1/events", subscribe, opened),
                   socket_end(person, f"/ws/v1/tasks/{task}", None, opened), sse_end(person, "/api/v1/stream/events", opened),
                   sse_end(person, f"/api/v1/containers/{container}/logs", opened), sse_end(person, f"/api/v1/tasks/{task}/stream", opened)]
        pending = [asyncio.create_task(s) for s in streams]
        for _ in streams:
            await asyncio.wait_for(opened.acquire(), 20)
        await asyncio.to_thread(act)
        refused = await asyncio.to_thread(within, 1, lambda: person.call("GET", f"/containers/{container}").status_code in (401, 403, 404))
        done, late = await asyncio.wait(pending, timeout=5)
        for t in late:
            t.cancel()
        return refused, [t.result() if t in done else "open" for t in pending]
    return asyncio.run(run())


@pytest.mark.parametrize("act, code", [(logout, 4401), (disable, 4401), (take_roles, 4403), (change_password, 4401), (reset_password, 4401)])
def test_lost_rights_end_streams(owner, docker, home, make_app, act, code):
    app, _ = make_app()
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    container = docker.inspect(f"{app['projectName']}-web-1")["Id"]
    person = make_user(owner, ("operator", home["project"]["id"]))
    with queue_held(owner.server, app):
        task = owner.post(f"/applications/{app['id']}/sync", {}).json()["taskId"]
        refused, codes = streams_end(person, container, task, lambda: act(owner, person))
    assert refused and codes == [code] * 6


def test_streams_end_with_their_token(owner, home, make_app):
    app, _ = make_app()
    person = make_user(owner, ("operator", home["project"]["id"]))
    made = person.make("/tokens", {"name": "short", "expiresInDays": 1})
    sql(owner.server, "UPDATE api_tokens SET expires_at = now() + interval '3 seconds' WHERE id = %s", made["id"])
    assert closed_after(owner.server, ticket_of(Api(owner.server, made["token"])), lambda: None, 15) == 4401


def test_a_ticket_is_bound_to_the_addresses_of_its_token(server, db, admin):
    user = make_user(admin, ("viewer", PLATFORM))
    made = user.make("/tokens", {"name": "here", "expiresInDays": 1, "cidrs": ["127.0.0.0/8"]})
    ticket = ticket_of(Api(server, made["token"]))
    db.rows("UPDATE api_tokens SET allowed_cidrs = '{10.9.0.0/16}' WHERE id = %s", made["id"])
    with pytest.raises(websockets.InvalidStatusCode) as refused:
        closed_after(server, ticket, lambda: None, 2)
    assert refused.value.status_code == 401


def test_a_ticket_opens_the_stream_it_was_made_for(server, admin):
    """WS2: used elsewhere it is refused, and stays good for its own place."""
    user = make_user(admin, ("viewer", PLATFORM))
    elsewhere = user.post("/ws-tickets", {"path": "/ws/v1/tasks/01900000-0000-7000-8000-000000000000"}, expect=201).json()["ticket"]
    with pytest.raises(websockets.InvalidStatusCode) as refused:
        closed_after(server, elsewhere, lambda: None, 2)
    assert refused.value.status_code == 401
    assert user.post("/ws-tickets", {"path": "no path"}).status_code == 422
    here = user.post("/ws-tickets", {"path": "/ws/v1/events"}, expect=201).json()["ticket"]
    assert closed_after(server, here, lambda: user.post("/auth/logout", expect=204), 5) == 4401
    with pytest.raises(websockets.InvalidStatusCode):
        closed_after(server, here, lambda: None, 2)
