"""Access tokens and API tokens (TK1-TK5, TK9-TK12)."""
import base64
import concurrent.futures
import hashlib
import hmac
import json
import socketserver
import time

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from conftest import PLATFORM, Api, code, enter, make_org, make_user, unique
from keyring import signing_key


def b64(data):
    if isinstance(data, dict):
        data = json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def parts(token):
    head, body, signature = token.split(".")
    pad = lambda s: s + "=" * (-len(s) % 4)
    return json.loads(base64.urlsafe_b64decode(pad(head))), json.loads(base64.urlsafe_b64decode(pad(body))), signature


def me(server, token):
    return httpx.get(server.url + "/api/v1/auth/me", headers={"Authorization": f"Bearer {token}"})


def refused(server, token):
    r = me(server, token)
    assert r.status_code in (400, 401), (r.status_code, token[:80])
    if r.status_code == 401:
        assert code(r) == "TOKEN_INVALID", token[:80]
    return True


# ---- TK1, TK2: forged headers -----------------------------------------------------------------------

def test_algorithm_games(server, user):
    token = user().token
    head, body, signature = parts(token)
    signed = token.rsplit(".", 1)[0]
    jwk = httpx.get(server.url + "/.well-known/jwks.json").json()["keys"][0]
    public = base64.urlsafe_b64decode(jwk["x"] + "==")
    for alg in ("none", "nOnE", "NONE", ""):
        h = b64({**head, "alg": alg})
        assert refused(server, f"{h}.{b64(body)}.")
        assert refused(server, f"{h}.{b64(body)}.{signature}")
    for key in (public, jwk["x"].encode(), json.dumps(jwk).encode()):
        h = b64({**head, "alg": "HS256"})
        mac = hmac.new(key, f"{h}.{b64(body)}".encode(), hashlib.sha256).digest()
        assert refused(server, f"{h}.{b64(body)}.{b64(mac)}")
    for alg in ("RS256", "PS256", "ES256", "EdDSA "):
        assert refused(server, f"{b64({**head, 'alg': alg})}.{b64(body)}.{signature}")
    for bad in (f"{signed}.", signed, f"{token}.x", f"{token}=", f"{signed}.{signature}==", f".{signed}", "..", "a.b.c", token[:-2]):
        assert refused(server, bad)


def test_own_key_and_pointers_to_keys(server, user):
    token = user().token
    head, body, signature = parts(token)
    mine = ed25519.Ed25519PrivateKey.generate()
    x = b64(mine.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))

    def sign(h, claims=body, key=mine):
        text = f"{b64(h)}.{b64(claims)}"
        return f"{text}.{b64(key.sign(text.encode()))}"

    for extra in ({}, {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": x}}, {"jku": f"{server.url}/evil.json"}, {"x5u": f"{server.url}/evil.pem"},
                  {"crit": ["exp"]}, {"b64": False, "crit": ["b64"]}):
        assert refused(server, sign({**head, **extra}))
    for kid in ("../../../../dev/null", "' OR 1=1 --", "", None, 7, "k" * 10240, head["kid"] + "\x00", head["kid"].upper() + "x"):
        assert refused(server, sign({**head, "kid": kid}))
    no_kid = {k: v for k, v in head.items() if k != "kid"}
    assert refused(server, sign(no_kid))
    # A second member of the same name must not win over the first.
    doubled = json.dumps(head)[:-1] + ', "alg": "none"}'
    assert refused(server, f"{b64(doubled.encode())}.{b64(body)}.{signature}")


def test_signature_malleability(server, user):
    """TK3: S + L verifies with careless libraries."""
    token = user().token
    text, signature = token.rsplit(".", 1)
    raw = base64.urlsafe_b64decode(signature + "==")
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(raw[32:], "little") + order
    if s < 2**256:
        assert refused(server, f"{text}.{b64(raw[:32] + s.to_bytes(32, 'little'))}")
    for bad in (b"\0" * 64, raw[:32] + b"\0" * 32, raw + b"\0", raw[:63], bytes([raw[0] ^ 1]) + raw[1:]):
        assert refused(server, f"{text}.{b64(bad)}")
    p256 = ec.generate_private_key(ec.SECP256R1())
    from cryptography.hazmat.primitives import hashes
    assert refused(server, f"{text}.{b64(p256.sign(text.encode(), ec.ECDSA(hashes.SHA256())))}")


def test_a_changed_payload_is_refused(server, user):
    token = user().token
    head, body, signature = parts(token)
    for change in ({"sub": "00000000-0000-0000-0000-000000000000"}, {"mcp": False, "epoch": 999}, {"exp": 2**40}, {"exp": "9999999999"}):
        assert refused(server, f"{b64(head)}.{b64({**body, **change})}.{signature}")


# ---- TK1 - TK4 with the server's own signature: nothing but the form is wrong ----------------------------------

@pytest.fixture(scope="module")
def forge(server, db):
    """forge(header, claims) -> token; both may be text, for what a dict cannot say."""
    _, key = signing_key(server, db)
    text = lambda part: b64(part if isinstance(part, dict) else part.encode())

    def make(header, claims):
        signed = f"{text(header)}.{text(claims)}"
        return f"{signed}.{b64(key.sign(signed.encode()))}"

    return make


def denied(server, token, why="TOKEN_INVALID"):
    r = me(server, token)
    assert r.status_code == 401 and code(r) == why, (r.text, token[:200])
    assert httpx.get(server.url + "/api/v1/auth/me", headers={"Cookie": f"df_session={token}"}).status_code == 401, token[:200]


def test_the_forge_is_good(server, user, forge):
    u = user()
    head, claims, _ = parts(u.token)
    assert me(server, forge(head, claims)).json() == u.get("/auth/me")
    assert me(server, forge({**head, "x-own": 1}, {**claims, "own": [1]})).status_code == 200


def test_a_header_says_nothing_new(server, user, forge):
    """TK1, TK2: signed by the server, and yet."""
    head, claims, _ = parts(user().token)
    for alg in ("none", "nOnE", "NONE", "", "HS256", "HS512", "RS256", "PS256", "PS384", "ES256", "ES256K", "Ed25519", "Ed448", "eddsa", "EdDSA ", None, 0, ["EdDSA"]):
        denied(server, forge({**head, "alg": alg}, claims))
    with socketserver.TCPServer(("127.0.0.1", 0), None) as trap:
        trap.timeout = 0
        asked = []
        trap.process_request = lambda request, client: asked.append(client)
        url = f"http://127.0.0.1:{trap.server_address[1]}/jwks.json"
        for extra in ({"jku": url}, {"x5u": url}, {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}}, {"jwk": None}, {"x5c": []},
                      {"crit": ["exp"]}, {"crit": []}, {"crit": ["unheard-of"], "unheard-of": 1}, {"b64": False, "crit": ["b64"]}, {"b64": False},
                      {"b64": True}, {"zip": "DEF"}, {"enc": "A256GCM"}, {"typ": "JWT"}, {"typ": None}, {"typ": "refresh+jwt"}, {"typ": "AT+JWT"}):
            denied(server, forge({**head, **extra}, claims))
        trap.handle_request()
        assert asked == []
    for kid in ("", None, 7, True, [head["kid"]], "../../keys/root.key", "/dev/null", "' OR '1'='1", "x' UNION SELECT 1 --", head["kid"].upper(), head["kid"] + " ",
                head["kid"] + "\0", "%" + head["kid"], "k" * 2000, "k" * 10240):
        if kid != head["kid"]:
            denied(server, forge({**head, "kid": kid}, claims))
    for name in ("alg", "kid", "typ"):
        denied(server, forge({k: v for k, v in head.items() if k != name}, claims))


def test_what_is_said_twice_is_not_believed(server, user, forge):
    """TK2"""
    head, claims, _ = parts(user().token)
    doubled = lambda members, name, value: json.dumps(members)[:-1] + f', "{name}": {json.dumps(value)}}}'
    for name in ("alg", "kid", "typ"):
        denied(server, forge(doubled(head, name, head[name]), claims))
    for name in ("sub", "sid", "exp", "iss", "aud", "epoch", "mcp"):
        denied(server, forge(head, doubled(claims, name, claims[name])))
    denied(server, forge(head, json.dumps(claims).replace('"sub"', '"s\\u0075b": "x", "sub"', 1)))
    for text in ("", "{", "[]", "null", '"x"', json.dumps(claims) + "{}", json.dumps(claims).replace("{", "{,", 1), "[" * 500 + "]" * 500):
        denied(server, forge(head, text))
    denied(server, forge(head, {**claims, "pad": "x" * 5000}))


def test_base64_has_one_form(server, user, forge):
    """TK1"""
    token = forge(*parts(user().token)[:2])
    head, body, signature = token.split(".")
    assert me(server, token).status_code == 200
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = signature[:-1] + last[last.index(signature[-1]) ^ 1]  # the same bytes, other unused bits
    for bad in (f"{head}=.{body}.{signature}", f"{head}.{body}=.{signature}", f"{token}=", f"{token}==", f"{head}.{body}.{other}",
                f"{head}.{body}.{signature}.", f"{head}..{signature}", f"{head}.{body}.", f"{head}.{body}", f"{head}.{body}.{signature[:-2]}",
                f"{head}.{body}.{b64(b'0' * 64)}"):
        denied(server, bad)
    r = me(server, f"{head}.{body}.{signature[:40]}\t{signature[40:]}")
    assert r.status_code == 400 and code(r) == "AMBIGUOUS_CREDENTIALS"


def test_times_are_integers_with_thirty_seconds_of_grace(server, user, forge):
    """TK4"""
    head, claims, _ = parts(user().token)
    raw = json.dumps({k: v for k, v in claims.items() if k not in ("exp", "nbf", "iat")})[:-1]
    now = int(time.time())
    for value in (f"{now}.0", f"{now + 100}.5", f"{(now + 100) / 1e9}e9", f'"{now + 100}"', "-1", "1e400", "1e3", "null", "true", "[]", "{}", "9223372036854775808",
                  "99999999999999999999", "253402300800"):
        denied(server, forge(head, f'{raw}, "exp": {value}}}'))
        for name in ("nbf", "iat"):
            denied(server, forge(head, f'{raw}, "exp": {now + 100}, "{name}": {value}}}'))
    denied(server, forge(head, raw + "}"))
    base = {k: v for k, v in claims.items() if k not in ("exp", "nbf", "iat")}
    for early, late, status in ((20, None, 200), (60, None, 401), (None, 20, 200), (None, 60, 401)):
        now = int(time.time())
        if early:  # the issuer's clock is ahead
            for name in ("nbf", "iat"):
                token = forge(head, {**base, "exp": now + 300, name: now + early})
                assert me(server, token).status_code == status
                if status == 401:
                    denied(server, token)
        else:
            token = forge(head, {**base, "exp": now - late})
            assert me(server, token).status_code == status
            if status == 401:
                denied(server, token, "TOKEN_EXPIRED")


# ---- TK5: other things are not access tokens ---------------------------------------------------------

def test_other_credentials_are_no_access_tokens(server, user):
    u = user()
    ticket = u.post("/ws-tickets", expect=201).json()["ticket"]
    for other in (u.refresh_token, ticket, u.user["id"], "dsp_" + "A" * 48, "Basic x"):
        assert refused(server, other)


def test_tickets_open_nothing_but_sockets(server, user):
    u = user()
    ticket = u.post("/ws-tickets", expect=201).json()
    assert ticket["expiresIn"] == 30
    r = httpx.get(server.url + "/api/v1/auth/me", headers={"Sec-WebSocket-Protocol": f"dockflow.v1, ticket.{ticket['ticket']}"})
    assert r.status_code == 401


# ---- API tokens ----------------------------------------------------------------------------------------

def token_of(u, *scopes, **kw):
    made = u.make("/tokens", {"name": unique("t"), "scopes": list(scopes), "expiresInDays": 1, **kw})
    api = Api(u.server, made["token"])
    api.id = made["id"]
    return api


def test_life_of_a_token(server, db, user):
    u = user(("viewer", PLATFORM))
    made = u.make("/tokens", {"name": "ci", "scopes": ["application:read"], "expiresInDays": 30, "cidrs": ["127.0.0.0/8"]})
    assert made["token"].startswith("dsp_") and made["prefix"] == made["token"][:8]
    listed = u.get("/tokens")["items"]
    assert [t["name"] for t in listed] == ["ci"] and "token" not in listed[0] and made["token"] not in json.dumps(listed)
    api = Api(server, made["token"])
    assert api.get("/auth/me")["user"]["id"] == u.user["id"]
    assert u.get("/tokens")["items"][0]["lastUsedAt"]
    assert db.one("SELECT count(*) FROM api_tokens WHERE token_hash = %s", hashlib.sha256(made["token"].encode()).digest()) == 1
    assert code(u.post("/tokens", {"name": "CI", "expiresInDays": 1}, expect=409)) == "CONFLICT"
    u.delete(f"/tokens/{made['id']}", expect=204)
    assert api.call("GET", "/auth/me").status_code == 401
    assert u.delete(f"/tokens/{made['id']}").status_code == 404


def test_tokens_of_others_are_not_there(user):
    a, b = user(), user()
    made = b.make("/tokens", {"name": "mine", "expiresInDays": 1})
    assert a.delete(f"/tokens/{made['id']}").status_code == 404
    assert a.get("/tokens")["items"] == []
    assert b.get("/tokens")["items"][0]["name"] == "mine"


def test_expired_token_and_foreign_address(server, db, user):
    u = user(("viewer", PLATFORM))
    away = token_of(u, cidrs=["10.9.0.0/16"])
    assert away.call("GET", "/auth/me").status_code == 401
    api = token_of(u)
    db.rows("UPDATE api_tokens SET expires_at = now() - interval '1 second' WHERE id = %s", api.id)
    assert api.call("GET", "/auth/me").status_code == 401
    for bad in (0, 366, -1, 1.5, "7"):
        assert u.post("/tokens", {"name": unique(), "expiresInDays": bad}).status_code == 422
    assert u.post("/tokens", {"name": unique(), "expiresInDays": 1, "cidrs": ["no address"]}).status_code == 422


def test_checksum_catches_typing_errors(server, user):
    api = token_of(user())
    body = api.token[4:]
    for i in (0, 20, 40, 47):
        changed = "dsp_" + body[:i] + ("a" if body[i] != "a" else "b") + body[i + 1:]
        assert refused(server, changed)
    assert refused(server, api.token + "0") and refused(server, api.token[:-1]) and refused(server, api.token.upper())


def test_narrow_token_is_narrow_everywhere(server, admin, user, org):
    """TK9: the same 403 on lists, objects, writes, account routes and by cookie."""
    scope = org["project"]["id"]
    u = user(("admin", scope))
    api = token_of(u, "application:read")
    for method, path, body in (("GET", "/projects", None), ("GET", f"/projects/{scope}", None), ("GET", "/users", None), ("GET", "/role-bindings", None),
                               ("POST", "/folders", {"name": "f", "projectId": scope}), ("PATCH", f"/projects/{scope}", {"displayName": "x"})):
        r = api.call(method, path, json=body, headers={"If-Match": '"1"'})
        assert (r.status_code, code(r)) == (403, "INSUFFICIENT_SCOPE"), (method, path, r.text)
    for method, path, body in (("POST", "/tokens", {"name": "wider"}), ("GET", "/tokens", None), ("GET", "/auth/sessions", None),
                               ("POST", "/auth/logout", None), ("POST", "/auth/change-password", {"currentPassword": "x", "newPassword": "y"}),
                               ("DELETE", f"/tokens/{api.id}", None)):
        r = api.call(method, path, json=body)
        assert (r.status_code, code(r)) == (403, "INSUFFICIENT_SCOPE"), (method, path, r.text)
    assert api.get("/auth/me")["permissions"] == ["application:read"]
    assert not api.get("/auth/can-i", params={"permission": "project:read", "scope": scope})["allowed"]
    assert api.get("/auth/can-i", params={"permission": "application:read", "scope": scope})["allowed"]


def test_token_narrowed_to_a_subtree(server, admin, user, org):
    other = make_org(admin)
    u = user(("viewer", PLATFORM))
    api = token_of(u, scopeId=org["project"]["id"])
    assert [p["id"] for p in api.all("/projects")] == [org["project"]["id"]]
    assert api.call("GET", f"/projects/{other['project']['id']}").status_code == 404
    assert api.call("GET", f"/organizations/{org['org']['id']}").status_code == 404


def test_token_gives_at_most_what_its_owner_has(server, admin, user, org):
    """TK10"""
    scope = org["project"]["id"]
    u = user(("viewer", scope))
    r = u.post("/tokens", {"name": "wide", "scopes": ["user:delete"], "expiresInDays": 1})
    assert (r.status_code, code(r)) == (403, "INSUFFICIENT_SCOPE")
    assert code(u.post("/tokens", {"name": "typo", "scopes": ["user:fly"], "expiresInDays": 1}, expect=422)) == "INVALID_INPUT"
    api = token_of(u)
    assert api.get(f"/projects/{scope}")["id"] == scope
    # The right goes, and with it the token's.
    binding = admin.get("/role-bindings", params={"subject": u.user["id"]})["items"][0]
    admin.delete(f"/role-bindings/{binding['id']}", expect=204)
    assert api.call("GET", f"/projects/{scope}").status_code == 404
    version = admin.get(f"/users/{u.user['id']}")["version"]
    admin.patch(f"/users/{u.user['id']}", {"active": False}, version, expect=200)
    assert api.call("GET", "/auth/me").status_code == 401
    admin.patch(f"/users/{u.user['id']}", {"active": True}, version + 1, expect=200)


def test_deleted_owner(server, admin, user):
    u = user(("viewer", PLATFORM))
    api = token_of(u)
    assert api.call("GET", "/auth/me").status_code == 200
    admin.delete(f"/users/{u.user['id']}", u.user["version"], expect=204)
    assert api.call("GET", "/auth/me").status_code == 401
    assert u.call("GET", "/auth/me").status_code == 401


def test_token_revoked_by_another_process(server, db, user):
    api = token_of(user())
    assert api.call("GET", "/auth/me").status_code == 200
    db.rows("UPDATE api_tokens SET revoked_at = now() WHERE id = %s", api.id)
    deadline = time.monotonic() + 1
    while api.call("GET", "/auth/me").status_code == 200:
        assert time.monotonic() < deadline


# ---- idempotency: a secret shown once is replayed, but not stored readable -------------------------------

def test_replayed_token(server, db, user):
    u = user()
    key = {"Idempotency-Key": unique("key")}
    body = {"name": "once", "expiresInDays": 1}
    one, two = (u.post("/tokens", body, headers=key, expect=201) for _ in range(2))
    assert one.json()["token"] == two.json()["token"] and two.headers["idempotency-replayed"] == "true"
    assert len(u.get("/tokens")["items"]) == 1
    assert one.json()["token"].encode() not in bytes(db.one("SELECT body FROM idempotency_keys WHERE key = %s", key["Idempotency-Key"]))
    r = u.post("/tokens", {**body, "name": "other"}, headers=key, expect=422)
    assert code(r) == "IDEMPOTENCY_MISMATCH"


def test_keys_of_different_users_are_different(user):
    key = {"Idempotency-Key": unique("key")}
    a, b = user(), user()
    assert a.post("/tokens", {"name": "x", "expiresInDays": 1}, headers=key, expect=201).json()["token"] != \
        b.post("/tokens", {"name": "x", "expiresInDays": 1}, headers=key, expect=201).json()["token"]


def test_failed_requests_free_their_key(user):
    u, key = user(), {"Idempotency-Key": unique("key")}
    u.post("/tokens", {"name": "n", "scopes": ["user:fly"], "expiresInDays": 1}, headers=key, expect=422)
    u.post("/tokens", {"name": "n", "expiresInDays": 1}, headers=key, expect=201)


def test_parallel_requests_with_one_key(admin):
    """IN13: exactly one is done; the others wait for it or replay it."""
    key, name = {"Idempotency-Key": unique("key")}, unique("org")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: admin.post("/organizations", {"name": name}, headers=key), range(8)))
    assert {r.status_code for r in answers} <= {201, 409}
    done = {r.json()["id"] for r in answers if r.status_code == 201}
    assert len(done) == 1 and len(admin.all("/organizations", name=name)) == 1
