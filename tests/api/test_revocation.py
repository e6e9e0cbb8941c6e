"""Revoked credentials end everywhere: while nobody listens, on open streams, through tickets; rights that change do not lock out."""
import asyncio
import time

import pytest
import websockets

from conftest import PLATFORM, Api, make_user


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
