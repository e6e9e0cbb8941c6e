"""The audit log: what is in it, who sees it, what verification finds (AL1, AL3)."""
import concurrent.futures
import json

import httpx
import pytest

from conftest import PLATFORM, code, first_admin, make_org, make_user, unique


def entries(api, **params):
    return api.get("/audit-logs", params=params)["items"]


def test_a_change_is_told_with_before_and_after(admin, org):
    r = admin.patch(f"/projects/{org['project']['id']}", {"displayName": "After"}, 1, expect=200)
    found = entries(admin, requestId=r.headers["x-request-id"])
    assert len(found) == 1
    e = found[0]
    assert (e["action"], e["resourceType"], e["resourceId"], e["outcome"]) == ("project.update", "project", org["project"]["id"], "success")
    assert e["actor"] == {"id": admin.user["id"], "name": "admin@localhost", "kind": "user"}
    assert e["before"]["displayName"] == "" and e["after"]["displayName"] == "After"
    assert e["chain"] == org["org"]["id"] and e["ip"] == "127.0.0.1" and e["userAgent"].startswith("python-httpx")
    assert len(e["hash"]) == 64


def test_refused_and_failed_changes_are_told(admin, user, org):
    u = user(("viewer", org["project"]["id"]))
    denied = u.patch(f"/projects/{org['project']['id']}", {"displayName": "x"}, 1, expect=403)
    e = entries(admin, requestId=denied.headers["x-request-id"])[0]
    assert (e["outcome"], e["errorCode"], e["actor"]["id"]) == ("denied", "INSUFFICIENT_PERMISSIONS", u.user["id"])
    clash = admin.post("/organizations", {"name": org["org"]["name"]}, expect=409)
    e = entries(admin, requestId=clash.headers["x-request-id"])[0]
    assert (e["outcome"], e["errorCode"], e["action"]) == ("failure", "CONFLICT", "organization.create")


def test_logins_are_told(server, admin, user):
    u = user()
    good = entries(admin, user=u.user["id"], action="auth.login")
    assert len(good) == 1 and good[0]["outcome"] == "success"
    r = httpx.post(server.url + "/api/v1/auth/login", json={"username": u.user["username"], "password": "wrong wrong wrong"})
    e = entries(admin, requestId=r.headers["x-request-id"])[0]
    assert (e["outcome"], e["errorCode"], e["actor"]["kind"], e["actor"]["name"]) == ("failure", "INVALID_CREDENTIALS", "anonymous", u.user["username"])
    out = u.post("/auth/logout", expect=204)
    assert entries(admin, requestId=out.headers["x-request-id"])[0]["action"] == "auth.logout"


def test_a_token_acts_under_its_own_name(server, admin, user):
    from conftest import Api
    made = admin.make("/tokens", {"name": unique("t"), "expiresInDays": 1})
    r = Api(server, made["token"]).post("/organizations", {"name": unique("by-token")}, expect=201)
    assert entries(admin, requestId=r.headers["x-request-id"])[0]["actor"]["kind"] == "token"


def test_filters_and_pages(admin):
    names = [unique("filter") for _ in range(5)]
    for name in names:
        admin.make("/organizations", {"name": name})
    ours = admin.all("/audit-logs", action="organization.create", limit=2)
    times = [e["time"] for e in ours]
    assert times == sorted(times, reverse=True) and len({e["id"] for e in ours}) == len(ours)
    assert {e["resourceName"] for e in ours} >= set(names)
    newest = ours[0]
    assert newest["id"] in {e["id"] for e in entries(admin, **{"from": newest["time"]})}
    assert newest["id"] not in {e["id"] for e in entries(admin, to=newest["time"])}
    assert all(e["action"].startswith("organization.") for e in entries(admin, action="organization.*"))
    assert entries(admin, resource=newest["resourceId"])[0]["resourceId"] == newest["resourceId"]
    assert all(e["outcome"] == "denied" for e in entries(admin, outcome="denied"))
    assert admin.call("GET", "/audit-logs", params={"from": "yesterday"}).status_code == 400


def test_who_sees_what(admin, user):
    a, b = make_org(admin), make_org(admin)
    boss = user(("admin", a["org"]["id"]))
    auditor = user(("auditor", a["project"]["id"]))
    chains = {e["chain"] for e in boss.all("/audit-logs")}
    assert chains == {a["org"]["id"]}
    assert {e["scopeId"] for e in auditor.all("/audit-logs")} == {a["project"]["id"]}
    assert boss.get("/audit-logs/verify", params={"organization": a["org"]["id"]})["ok"]
    assert boss.call("GET", "/audit-logs/verify", params={"organization": b["org"]["id"]}).status_code == 404
    assert boss.call("GET", "/audit-logs/verify").status_code == 403
    assert user(("viewer", PLATFORM)).call("GET", "/audit-logs").status_code == 403


def test_no_secret_is_written(db, admin, user):
    secret = "phrase to be found nowhere 77"
    u = user(password=secret)
    admin.patch(f"/users/{u.user['id']}", {"password": secret + "8", "mustChangePassword": False}, u.user["version"], expect=200)
    token = admin.make("/tokens", {"name": unique("t"), "expiresInDays": 1})["token"]
    text = json.dumps(db.rows("SELECT row_to_json(a)::text FROM audit_logs a")) + json.dumps(db.rows("SELECT row_to_json(e)::text FROM events e"))
    assert secret not in text and token not in text and "argon2" not in text
    assert '"passwordChanged"' in text.replace("\\", "")


def test_parallel_actions_leave_no_gap(admin, db):
    """AL3"""
    org = make_org(admin)["org"]["id"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: admin.make("/projects", {"name": unique("par"), "organizationId": org}), range(24)))
    seqs = [r[0] for r in db.rows("SELECT seq FROM audit_logs WHERE chain = %s ORDER BY seq", org)]
    assert seqs == list(range(1, len(seqs) + 1)) and len(seqs) == 26
    assert admin.get("/audit-logs/verify", params={"organization": org}) == {"ok": True, "checked": 26, "unsigned": 0, "firstBadSeq": None, "reason": None}


# ---- AL1: a hand in the database -------------------------------------------------------------------------

@pytest.fixture(scope="module")
def lonely(new_server, new_database):
    database = new_database()
    api = first_admin(new_server(database.url))
    api.server.tampered = True  # its log is not what the checks at the end of the session look for
    api.db = database
    return api


def chain(api, n=6):
    org = make_org(api)["org"]["id"]
    for _ in range(n - 2):
        api.make("/projects", {"name": unique("p"), "organizationId": org})
    return org


def tamper(api, sql, *args):
    api.db.rows("ALTER TABLE audit_logs DISABLE TRIGGER USER")
    api.db.rows(sql, *args)
    api.db.rows("ALTER TABLE audit_logs ENABLE TRIGGER USER")


@pytest.mark.parametrize("sql, bad", [
    ("UPDATE audit_logs SET actor_name = 'somebody else' WHERE chain = %s AND seq = 3", 3),
    ("UPDATE audit_logs SET after = '{}' WHERE chain = %s AND seq = 2", 2),
    ("UPDATE audit_logs SET created_at = created_at + interval '1 microsecond' WHERE chain = %s AND seq = 4", 4),
    ("UPDATE audit_logs SET mac = decode(repeat('00', 32), 'hex') WHERE chain = %s AND seq = 5", 5),
    ("DELETE FROM audit_logs WHERE chain = %s AND seq = 3", 3),
    ("DELETE FROM audit_logs WHERE chain = %s AND seq = 6", 6),
    ("UPDATE audit_logs SET outcome = 'failure' WHERE chain = %s AND seq = 1", 1),
])
def test_tampering_is_found(lonely, sql, bad):
    org = chain(lonely)
    assert lonely.get("/audit-logs/verify", params={"organization": org})["ok"]
    tamper(lonely, sql, org)
    report = lonely.get("/audit-logs/verify", params={"organization": org})
    assert not report["ok"] and report["firstBadSeq"] == bad and report["reason"]


def test_the_table_only_grows(lonely):
    import psycopg2
    for sql in ("UPDATE audit_logs SET actor_name = 'x'", "DELETE FROM audit_logs", "TRUNCATE audit_logs"):
        with pytest.raises(psycopg2.Error):
            lonely.db.rows(sql)
