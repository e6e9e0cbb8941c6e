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


def test_chains_are_whole(server, db, recorded, admin_password):
    from conftest import enter
    admin = enter(server, "admin@localhost", admin_password)
    for (chain,) in db.rows("SELECT chain FROM audit_heads"):
        params = {} if chain == "00000000-0000-7000-8000-000000000000" else {"organization": chain}
        r = admin.call("GET", "/audit-logs/verify", params=params)
        assert r.status_code in (200, 404) and (r.status_code == 404 or r.json()["ok"]), (chain, r.text)
