"""Last of the session: what must hold after everything else ran (P12, TK11, TK12)."""
import collections

# What changes nothing that is recorded: a renewed session, a ticket, a request for something that already was so.
UNRECORDED = ("/api/v1/auth/refresh", "/api/v1/ws-tickets")


def test_every_write_has_exactly_one_audit_row(server, db, recorded):
    counts = collections.Counter(r[0] for r in db.rows("SELECT request_id FROM audit_logs WHERE outcome = 'success'"))
    wrong = [(method, path, counts[rid]) for owner, rid, method, path in recorded.writes
             if owner is server and not path.startswith(UNRECORDED) and counts[rid] != 1]
    assert wrong == []
    assert sum(owner is server for owner, *_ in recorded.writes) > 0


def test_no_secret_in_any_log(server, recorded):
    text = server.log()
    found = [s[:12] for s in recorded.secrets if len(s) >= 12 and s in text]
    assert found == []


def test_a_dump_gives_no_credentials(server, db, recorded):
    tables = [r[0] for r in db.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    for table in tables:
        for (row,) in db.rows(f'SELECT row_to_json(t)::text FROM "{table}" t'):
            for secret in recorded.secrets:
                assert len(secret) < 12 or secret not in row, table


def test_chains_are_whole(server, db, recorded, admin_password):
    from conftest import enter
    admin = enter(server, "admin@localhost", admin_password)
    for (chain,) in db.rows("SELECT chain FROM audit_heads"):
        params = {} if chain == "00000000-0000-7000-8000-000000000000" else {"organization": chain}
        r = admin.call("GET", "/audit-logs/verify", params=params)
        assert r.status_code in (200, 404) and (r.status_code == 404 or r.json()["ok"]), (chain, r.text)
