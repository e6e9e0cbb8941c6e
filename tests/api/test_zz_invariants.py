"""Last of the session: what must hold after everything else ran (P12, TK11, TK12)."""
import collections

from live import sql

# What changes nothing that is recorded: a renewed session, a ticket, the test of a connection.
UNRECORDED = ("/api/v1/auth/refresh", "/api/v1/ws-tickets")


def servers(recorded):
    return {owner for owner, *_ in recorded.writes if owner.settings.get("DATABASE_URL") and not hasattr(owner, "tampered")}


def test_every_write_has_exactly_one_audit_row(server, recorded):
    """P12, on every server of the session."""
    wrong, asked = [], 0
    for one in servers(recorded):
        counts = collections.Counter(r[0] for r in sql(one, "SELECT request_id FROM audit_logs WHERE outcome = 'success'"))
        for owner, rid, method, path in recorded.writes:
            if owner is not one or path.startswith(UNRECORDED) or path.endswith("/test"):
                continue
            asked += 1
            if counts[rid] != 1:
                wrong.append((one.port, rid, method, path, counts[rid]))
    assert wrong == [] and asked > 0


def test_no_secret_in_any_log(recorded):
    for one in servers(recorded):
        text = one.log()
        assert [s[:12] for s in recorded.secrets if len(s) >= 12 and s in text] == []


def test_a_dump_gives_no_credentials(recorded):
    long = [s for s in recorded.secrets if len(s) >= 12]
    for one in servers(recorded):
        for (table,) in sql(one, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
            text = "\n".join(row for (row,) in sql(one, f'SELECT row_to_json(t)::text FROM "{table}" t'))
            assert [s[:12] for s in long if s in text] == [], table


def test_chains_are_whole(admin, db):
    for (chain,) in db.rows("SELECT chain FROM audit_heads"):
        params = {} if chain == "00000000-0000-7000-8000-000000000000" else {"organization": chain}
        r = admin.call("GET", "/audit-logs/verify", params=params)
        assert r.status_code in (200, 404) and (r.status_code == 404 or r.json()["ok"]), (chain, r.text)


# ---- the document of the API tells the truth --------------------------------------------------------------

def kind_of(value):
    return {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object", type(None): "null"}[type(value)]


def against(document, schema, value, at=""):
    """What in an answer is not as its schema says: other types, words outside an enumeration, fields nobody wrote down, and
    fields that it says are always there and are not: the types of the UI are made from it."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return min((against(document, one, value, at) for one in schema["anyOf"]), key=len)
    types = schema.get("type", [])
    types = types if isinstance(types, list) else [types]
    kind = kind_of(value)
    if types and kind not in types and not (kind == "integer" and "number" in types):
        return [f"{at}: {kind}, not {types}"]
    if value is not None and "enum" in schema and value not in schema["enum"]:
        return [f"{at}: {value!r} is not one of {schema['enum']}"]
    out = [f"{at}/{k} is missing" for k in schema.get("required", []) if isinstance(value, dict) and k not in value]
    for k, v in (value.items() if isinstance(value, dict) else ()):
        more = schema.get("additionalProperties")
        if k in schema.get("properties", {}):
            out += against(document, schema["properties"][k], v, f"{at}/{k}")
        elif isinstance(more, dict):
            out += against(document, more, v, f"{at}/{k}")
        elif schema.get("properties") and more is not True:
            out.append(f"{at}/{k} is not in the schema")
    for i, v in enumerate(value[:3] if isinstance(value, list) else ()):
        out += against(document, schema.get("items", {}), v, f"{at}/{i}")
    return out


def test_answers_are_as_the_document_says(server, recorded):
    import re
    from conftest import Api
    document = Api(server).get("/openapi.json")
    rows = [(re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(path))), path) for path in document["paths"]]
    rows.sort(key=lambda row: row[1].count("{"))  # /a/b before /a/{id}
    wrong = []
    for (method, path, status), body in recorded.answers.items():
        found = next((p for pattern, p in rows if pattern.fullmatch(path) and method.lower() in document["paths"][p]), None)
        if found is None:
            continue
        answers = document["paths"][found][method.lower()]["responses"]
        if str(status) not in answers:
            wrong.append(f"{method} {found}: {status} is not documented")
            continue
        schema = answers[str(status)].get("content", {}).get("application/json", {}).get("schema")
        if schema and body is not None:
            wrong += [f"{method} {found} {status}{x}" for x in against(document, schema, body)]
    assert not wrong, "\n".join(sorted(set(wrong)))
