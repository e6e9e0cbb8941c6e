"""Login, sessions, cookies, decisions (AU1-AU3, AU8, AU9, AU12, TK6-TK8)."""
import base64
import concurrent.futures
import json
import secrets
import socket
import statistics
import time

import httpx
import pytest

from conftest import BOOTSTRAP, PLATFORM, Api, code, enter, first_admin, login, make_user, unique


# ---- AU1: nobody learns which users there are ------------------------------------------------------

def test_unknown_user_and_wrong_password_look_the_same(server, user):
    known = user()
    answers = []
    for name in (known.user["username"], "nobody-" + unique()):
        r = httpx.post(server.url + "/api/v1/auth/login", json={"username": name, "password": "wrong wrong wrong"})
        assert r.status_code == 401
        body = r.json()
        body["error"].update(timestamp="", requestId="")
        body["request_id"] = ""
        answers.append((body, {k: v for k, v in r.headers.items() if k not in ("date", "x-request-id", "ratelimit")}))
    assert answers[0] == answers[1]
    assert answers[0][0]["error"]["code"] == "INVALID_CREDENTIALS"


def test_unknown_user_takes_as_long(server, user):
    known, took = user().user["username"], {}
    with httpx.Client(base_url=server.url) as http:
        for i in range(12):
            for who, name in (("known", known), ("unknown", f"nobody-{i}")):
                begin = time.perf_counter()
                assert http.post("/api/v1/auth/login", json={"username": name, "password": "wrong wrong wrong"}).status_code == 401
                took.setdefault(who, []).append(time.perf_counter() - begin)
    known, unknown = statistics.median(took["known"]), statistics.median(took["unknown"])
    assert abs(known - unknown) < 0.3 * max(known, unknown), (known, unknown)
    assert unknown > 0.02, "no hash was computed for the unknown user"


def test_inactive_user_is_an_unknown_one(server, admin, user):
    u = user()
    admin.patch(f"/users/{u.user['id']}", {"active": False}, u.user["version"], expect=200)
    assert login(server, u.user["username"], u.password, expect=401)["error"]["code"] == "INVALID_CREDENTIALS"


def test_login_by_email_and_in_any_case(server, user):
    u = user()
    for name in (u.user["email"], u.user["username"].upper(), "  " + u.user["username"] + " "):
        assert login(server, name, u.password)["user"]["id"] == u.user["id"]


# ---- AU2, AU3: guessing ------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def strict(new_server, new_database):
    """A server with rate limits."""
    database = new_database()
    server = new_server(database.url, {"DOCKFLOW_RATE_LIMIT_ENABLED": "true", "DOCKFLOW_LIMITS_RATE_LOGIN_PER_MINUTE": "1000",
                                         "DOCKFLOW_LIMITS_RATE_ANONYMOUS_PER_SECOND": "10000"})
    server.database = database
    server.admin = first_admin(server)
    return server


def guess(server, name):
    return httpx.post(server.url + "/api/v1/auth/login", json={"username": name, "password": "not the phrase 1"}, timeout=60)


def answer_of(server, name):
    try:
        return guess(server, name)
    except httpx.TransportError:
        return None  # it was killed


def test_parallel_guesses_are_counted_before_hashing(strict):
    """AU2: 200 at once, the server dies in the middle: ten are tried and no more."""
    u = make_user(strict.admin)
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        pending = [pool.submit(answer_of, strict, u.user["username"]) for _ in range(100)]
        concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED)
        strict.kill()
        first = [p.result() for p in pending]
        strict.start()
        answers = list(pool.map(lambda _: guess(strict, u.user["username"]), range(100)))
    known = answers + [r for r in first if r is not None]
    tried = [r for r in known if r.status_code == 401]
    refused = [r for r in known if r.status_code == 429]
    assert len(tried) <= 10 and len(tried) + len(refused) == len(known) and len(refused) >= 90
    assert all(code(r) == "RATE_LIMITED" and int(r.headers["retry-after"]) > 0 for r in refused)
    # The right password does not help while the account is guarded, and the counter survives another crash.
    assert login(strict, u.user["username"], u.password, expect=429)["error"]["code"] == "RATE_LIMITED"
    strict.kill()
    strict.start()
    assert guess(strict, u.user["username"]).status_code == 429
    strict.admin = enter(strict, "admin@localhost", strict.admin.password)


def test_spellings_of_a_name_share_one_counter(strict):
    u = make_user(strict.admin)
    name = u.user["username"]
    spellings = [name, name.upper(), " " + name, name + " ", u.user["email"], u.user["email"].upper(), name.title()]
    answers = [guess(strict, spellings[i % len(spellings)]).status_code for i in range(14)]
    # Making the user logged in once, successfully: that reset the counter.
    assert answers[:10] == [401] * 10 and answers[10:] == [429] * 4


def test_password_change_uses_the_same_counter(strict):
    u = make_user(strict.admin)
    for _ in range(10):
        r = u.post("/auth/change-password", {"currentPassword": "wrong wrong wrong", "newPassword": "another phrase 77"})
        assert r.status_code == 401
    assert u.post("/auth/change-password", {"currentPassword": u.password, "newPassword": "another phrase 77"}).status_code == 429
    assert login(strict, u.user["username"], u.password, expect=429)


# ---- AU8: first start --------------------------------------------------------------------------------

def test_first_password_must_be_changed(new_server, new_database):
    database = new_database()
    server = new_server(database.url)
    assert database.rows("SELECT username FROM users") == [("admin@localhost",)]
    body = login(server, "admin@localhost", BOOTSTRAP)
    api = Api(server, body["accessToken"])
    assert body["mustChangePassword"] and api.get("/auth/me")["mustChangePassword"]
    for path in ("/users", "/tokens", "/auth/sessions", "/roles"):
        assert code(api.call("GET", path, expect=403)) == "PASSWORD_CHANGE_REQUIRED"
    assert code(api.post("/tokens", {"name": "x"}, expect=403)) == "PASSWORD_CHANGE_REQUIRED"
    assert code(api.post("/auth/change-password", {"currentPassword": BOOTSTRAP, "newPassword": BOOTSTRAP})) == "WEAK_PASSWORD"
    api.post("/auth/change-password", {"currentPassword": BOOTSTRAP, "newPassword": "a phrase of its own 9"}, expect=204)
    assert api.call("GET", "/auth/me").status_code == 401, "the session with the first password lives on"
    login(server, "admin@localhost", BOOTSTRAP, expect=401)
    assert not enter(server, "admin@localhost", "a phrase of its own 9").get("/auth/me")["mustChangePassword"]
    assert BOOTSTRAP not in server.log()


def test_random_first_password_is_printed_once(new_server, new_database):
    database = new_database()
    server = new_server(database.url, {"DOCKFLOW_AUTH_BOOTSTRAP_ADMIN_PASSWORD": ""})
    server.tampered = True  # its log holds a password, as it must
    line = [l for l in server.log().splitlines() if l.strip().startswith("password ")]
    assert len(line) == 1
    password = line[0].split()[-1]
    assert len(password) >= 20
    assert login(server, "admin@localhost", password)["mustChangePassword"]
    server.stop()
    server.start()
    assert server.log().count(password) == 1
    assert server.log().count("First login") == 1


def printed_password(server):
    server.tampered = True  # its log holds a password, as it must
    return [line.split()[-1] for line in server.log().splitlines() if line.strip().startswith("password ")][-1]


def test_random_first_password_runs_out(new_server, new_database):
    """AU8: half an hour, then a start gives another one; once changed it is never given again."""
    database = new_database()
    server = new_server(database.url, {"DOCKFLOW_AUTH_BOOTSTRAP_ADMIN_PASSWORD": ""})
    first = printed_password(server)
    api = Api(server, login(server, "admin@localhost", first)["accessToken"])
    assert database.one("SELECT first_password_until - now() BETWEEN interval '25 minutes' AND interval '30 minutes' FROM users")
    database.rows("UPDATE users SET first_password_until = now() - interval '1 second'")
    late = login(server, "admin@localhost", first, expect=410)["error"]
    assert late["code"] == "GONE" and "restart the server" in late["message"]
    assert login(server, "admin@localhost", "a wrong password", expect=401)["error"]["code"] == "INVALID_CREDENTIALS"
    api.post("/auth/change-password", {"currentPassword": first, "newPassword": "a phrase of its own 9"}, expect=410)
    server.stop()
    server.start()
    second = printed_password(server)
    assert second != first and login(server, "admin@localhost", first, expect=401)
    assert api.call("GET", "/auth/me").status_code == 401
    api = Api(server, login(server, "admin@localhost", second)["accessToken"])
    api.post("/auth/change-password", {"currentPassword": second, "newPassword": "a phrase of its own 9"}, expect=204)
    assert database.one("SELECT first_password_until FROM users") is None
    server.stop()
    server.start()
    assert printed_password(server) == second and server.log().count("First login") == 2
    enter(server, "admin@localhost", "a phrase of its own 9")


def test_bad_secret_key_stops_the_boot(new_server, new_database, tmp_path):
    short = tmp_path / "short"
    short.write_text("31 bytes are not yet enough 12\n")
    short.chmod(0o600)
    for settings in ({"DOCKFLOW_AUTH_SECRET_KEY": "short"}, {"DOCKFLOW_AUTH_SECRET_KEY": "a" * 40},
                     {"DOCKFLOW_AUTH_SECRET_KEY_FILE": str(short)}, {"DOCKFLOW_AUTH_SECRET_KEY_FILE": str(tmp_path / "absent")}):
        with pytest.raises(RuntimeError, match="ended with 78"):
            new_server(new_database().url, settings)


def test_a_damaged_or_lost_root_key_stops_the_boot(new_server, new_database):
    server = new_server(new_database().url)
    server.stop()
    key = server.folder / "data/keys/root.key"
    good = key.read_bytes()
    for damaged in (good[:31], b""):
        key.write_bytes(damaged)
        with pytest.raises(RuntimeError, match="ended with 78"):
            server.start()
    key.unlink()
    with pytest.raises(RuntimeError, match="root key does not fit"):
        server.start()
    key.write_bytes(good)
    server.start()


def test_other_root_key_stops_the_boot(new_server, new_database):
    database = new_database()
    new_server(database.url, {"DOCKFLOW_AUTH_SECRET_KEY": secrets.token_urlsafe(40)}).stop()
    with pytest.raises(RuntimeError, match="root key does not fit"):
        new_server(database.url, {"DOCKFLOW_AUTH_SECRET_KEY": secrets.token_urlsafe(40)})


# ---- AU9: passwords ------------------------------------------------------------------------------------

@pytest.mark.parametrize("password", ["", "eleven-11ch", "p" * 257, "aaaaaaaaaaaaaaaa", "123456789012345", "password1234", "Changeme123!",
                                      "abcabcabcabcabc"[:12] and "qwertyuiop12"])
def test_weak_passwords(admin, password):
    name = unique("weak")
    r = admin.post("/users", {"username": name, "email": f"{name}@example.test", "password": password})
    assert r.status_code == 422 and code(r) == "WEAK_PASSWORD", r.text
    assert r.json()["error"]["field"] == "/password"


@pytest.mark.parametrize("password", ["twelve chars" , "correct horse " + "x7" * 121, "pässwörter sind länger", "🐙🦑🐡🦀 tide pool", " leading and trailing "])
def test_accepted_passwords_are_used_byte_for_byte(server, admin, password):
    u = make_user(admin, password=password)
    login(server, u.user["username"], password + " ", expect=401)
    login(server, u.user["username"], password[:-1], expect=401)
    login(server, u.user["username"], password.swapcase() if password.swapcase() != password else password + "x", expect=401)


def test_nul_in_password(admin):
    r = admin.call("POST", "/users", content=b'{"username":"nul","email":"nul@example.test","password":"twelve\\u0000chars!"}',
                   headers={"Content-Type": "application/json"})
    assert r.status_code in (400, 422)


# ---- AU12: credentials that can be read two ways ----------------------------------------------------------

def raw(server, *lines):
    with socket.create_connection(("127.0.0.1", server.port), 10) as s:
        s.sendall("\r\n".join(["GET /api/v1/auth/me HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "Connection: close", *lines, "", ""]).encode())
        data = b""
        while chunk := s.recv(65536):
            data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_ambiguous_credentials(server, admin):
    token = admin.token
    cases = [
        [f"Authorization: bearer\t{token}"],
        [f"Authorization: Bearer {token}", f"Authorization: Bearer {token}"],
        [f"Authorization: Bearer {token}", f"Cookie: df_session={token}"],
        [f"Authorization: Bearer {token},{token}"],
        [f"Cookie: df_session={token}; df_session=x"],
        [f"Authorization: Basic {base64.b64encode(b'admin@localhost:x').decode()}"],
    ]
    for lines in cases:
        status, body = raw(server, *lines)
        assert (status, body["error"]["code"]) == (400, "AMBIGUOUS_CREDENTIALS"), lines
    assert raw(server, f"Authorization: Bearer {token}")[0] == 200


def test_no_token_in_the_query(server, admin):
    r = httpx.get(server.url + "/api/v1/auth/me", params={"token": admin.token})
    assert r.status_code in (400, 401)
    r = httpx.get(server.url + "/api/v1/auth/me", params={"access_token": admin.token})
    assert r.status_code in (400, 401)


# ---- browser sessions ----------------------------------------------------------------------------------

def browser(server, u):
    api = Api(server, cookies=True)
    r = api.post("/auth/login", {"username": u.user["username"], "password": u.password}, expect=200)
    return api, r


def test_cookies(server, user):
    api, r = browser(server, user())
    assert "accessToken" not in r.json() and "refreshToken" not in r.json()
    cookies = {c.split("=")[0]: c for c in r.headers.get_list("set-cookie")}
    assert set(cookies) == {"df_session", "df_refresh"}
    assert all("HttpOnly" in c and "SameSite=Strict" in c for c in cookies.values())
    assert "Path=/;" in cookies["df_session"] and "Path=/api/v1/auth;" in cookies["df_refresh"]
    assert api.get("/auth/me")["user"]["username"]
    assert api.post("/auth/logout", expect=204).headers.get_list("set-cookie")
    assert api.call("GET", "/auth/me").status_code == 401


def test_cookie_writes_need_the_csrf_header(server, user):
    api, _ = browser(server, user())
    del api.http.headers["X-DF-CSRF"]
    assert code(api.post("/auth/logout", expect=403)) == "CSRF_FAILED"
    assert code(api.post("/auth/refresh", expect=403)) == "CSRF_FAILED"
    r = api.post("/auth/logout", headers={"X-DF-CSRF": "1", "Origin": "https://evil.example"}, expect=403)
    assert code(r) == "CSRF_FAILED"


def test_api_token_is_no_cookie(server, user):
    u = user()
    token = u.make("/tokens", {"name": "t", "expiresInDays": 1})["token"]
    r = httpx.get(server.url + "/api/v1/auth/me", cookies={"df_session": token})
    assert r.status_code == 401 and code(r) == "TOKEN_INVALID"


def test_new_session_at_each_login_and_password_change(server, user):
    """TK8"""
    u = user()
    api, _ = browser(server, u)
    first = next(s["id"] for s in api.get("/auth/sessions")["items"] if s["current"])
    api.post("/auth/login", {"username": u.user["username"], "password": u.password}, expect=200)
    second = next(s["id"] for s in api.get("/auth/sessions")["items"] if s["current"])
    assert second != first and first not in {s["id"] for s in api.get("/auth/sessions")["items"]}
    api.post("/auth/change-password", {"currentPassword": u.password, "newPassword": "yet another phrase 3"}, expect=204)
    third = [s["id"] for s in api.get("/auth/sessions")["items"]]
    assert len(third) == 1 and third[0] not in (first, second)


# ---- refresh: TK6 ------------------------------------------------------------------------------------------

def refresh(server, token):
    return httpx.post(server.url + "/api/v1/auth/refresh", json={"refreshToken": token}, headers={"X-DF-Token": "body"})


def test_refresh_rotates_and_reuse_ends_the_family(server, db, user):
    u = user()
    one = refresh(server, u.refresh_token).json()
    again = refresh(server, u.refresh_token)
    assert again.status_code == 200 and again.json()["refreshToken"] == one["refreshToken"], "a lost answer can be had again"
    two = refresh(server, one["refreshToken"]).json()
    # The first token is neither the current nor the one just replaced: somebody has a copy.
    stolen = refresh(server, u.refresh_token)
    assert stolen.status_code == 401 and code(stolen) == "TOKEN_REUSED"
    assert refresh(server, two["refreshToken"]).status_code == 401
    assert Api(server, two["accessToken"]).call("GET", "/auth/me").status_code == 401
    assert db.one("SELECT count(*) FROM audit_logs WHERE error_code = 'TOKEN_REUSED'") >= 1


def test_late_reuse_of_the_previous_token(server, db, user):
    u = user()
    one = refresh(server, u.refresh_token).json()
    db.rows("UPDATE sessions SET rotated_at = now() - interval '11 seconds' WHERE user_id = %s", u.user["id"])
    assert code(refresh(server, u.refresh_token)) == "TOKEN_REUSED"
    assert refresh(server, one["refreshToken"]).status_code == 401


def test_parallel_refresh_gives_one_successor(server, user):
    u = user()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: refresh(server, u.refresh_token), range(8)))
    assert {r.status_code for r in answers} == {200}
    assert len({r.json()["refreshToken"] for r in answers}) == 1


@pytest.mark.parametrize("token", ["", "x", "A" * 64, "é" * 32, "a" * 128])
def test_refresh_nonsense(server, token):
    r = refresh(server, token)
    assert r.status_code in (401, 422) and code(r) in ("TOKEN_INVALID", "SCHEMA_VIOLATION")


def test_refresh_after_restart(server, user):
    u = user()
    server.kill()
    server.start()
    one = refresh(server, u.refresh_token)
    assert one.status_code == 200
    assert Api(server, one.json()["accessToken"]).call("GET", "/auth/me").status_code == 200


# ---- revocation: TK7 ------------------------------------------------------------------------------------------

def gone_within(api, seconds=1.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if api.call("GET", "/auth/me").status_code == 401:
            return True
    return False


def test_logout_revoke_disable_end_sessions(server, admin, user):
    u = user()
    other = enter(server, u.user["username"], u.password)
    u.post("/auth/logout", expect=204)
    assert gone_within(u)
    mine = next(s["id"] for s in other.get("/auth/sessions")["items"] if s["current"])
    third = enter(server, u.user["username"], u.password)
    third.delete(f"/auth/sessions/{mine}", expect=204)
    assert gone_within(other)
    assert refresh(server, other.refresh_token).status_code == 401
    admin.patch(f"/users/{u.user['id']}", {"active": False}, admin.get(f"/users/{u.user['id']}")["version"], expect=200)
    assert gone_within(third)
    assert refresh(server, third.refresh_token).status_code == 401


def test_sessions_of_others_are_not_there(user):
    a, b = user(), user()
    id_of_b = b.get("/auth/sessions")["items"][0]["id"]
    assert a.delete(f"/auth/sessions/{id_of_b}").status_code == 404
    assert b.call("GET", "/auth/me").status_code == 200


def test_revocation_written_by_another_process(server, db, user):
    """Another instance revokes: only the database and its notification tell us."""
    u = user()
    for _ in range(3):  # the token is one that was checked a moment ago
        assert u.call("GET", "/auth/me").status_code == 200
    db.rows("UPDATE sessions SET revoked_at = now(), revoke_reason = 'test' WHERE user_id = %s", u.user["id"])
    assert gone_within(u)


# ---- decisions explained ---------------------------------------------------------------------------------------

def test_can_i(admin, user, org):
    u = user(("viewer", org["project"]["id"]))
    yes = u.get("/auth/can-i", params={"permission": "application:read", "scope": org["project"]["id"]})
    assert yes["allowed"] and yes["binding"]["role"] == "viewer" and yes["binding"]["scopeId"] == org["project"]["id"]
    no = u.get("/auth/can-i", params={"permission": "application:delete", "scope": org["project"]["id"]})
    assert not no["allowed"] and "application:delete" in no["reason"] and no["binding"] is None
    hidden = u.get("/auth/can-i", params={"permission": "application:read", "scope": org["org"]["id"]})
    missing = u.get("/auth/can-i", params={"permission": "application:read", "scope": "01900000-0000-7000-8000-000000000000"})
    assert hidden == missing and org["org"]["name"] not in json.dumps(hidden)
    assert u.call("GET", "/auth/can-i", params={"permission": "nonsense:x"}).status_code == 400


def test_who_can(admin, user, org):
    u = user(("operator", org["project"]["id"]))
    names = {i["username"] for i in admin.get("/auth/who-can", params={"permission": "container:logs", "scope": org["project"]["id"]})["items"]}
    assert {u.user["username"], "admin@localhost"} <= names
    names = {i["username"] for i in admin.get("/auth/who-can", params={"permission": "container:logs", "scope": PLATFORM})["items"]}
    assert u.user["username"] not in names
    u.get("/auth/who-can", params={"permission": "container:logs", "scope": org["project"]["id"]}, expect=403)
