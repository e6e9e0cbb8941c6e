"""The process from outside: its configuration, reloads (AU11)."""
import os
import signal
import subprocess
import time

import httpx
import pytest

from conftest import BOOTSTRAP, PROGRAM


@pytest.mark.parametrize("value,line", [("[10.0.0.0/8, 10.0.0.0/33]", 2), ("[127.0.0.1, proxy.example]", 2), ("[10.1.2.3/8]", 2), ("['']", 2)])
def test_a_bad_proxy_stops_the_check_with_key_and_line(tmp_path, value, line):
    file = tmp_path / "c.yaml"
    file.write_text(f"server:\n  trustedProxies: {value}\n")
    done = subprocess.run([PROGRAM, "--check-config", "--config", file], capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 78
    assert f"c.yaml:{line}:" in done.stderr and "server.trustedProxies" in done.stderr


def test_trusted_proxies_follow_a_reload_and_reach_the_audit(new_server, new_database, tmp_path):
    """An address and a network, then none: what a proxy says counts, and what a stranger says does not."""
    file, db = tmp_path / "c.yaml", new_database()
    file.write_text("server:\n  trustedProxies: [127.0.0.9, 127.0.5.0/24]\n")
    server = new_server(db.url, {"DOCKFLOW_CONFIG": str(file)})

    def login_from(source, agent):
        with httpx.Client(transport=httpx.HTTPTransport(local_address=source)) as c:
            body = {"username": "admin@localhost", "password": BOOTSTRAP}
            head = {"X-Forwarded-For": "198.51.100.66, 203.0.113.7", "X-Real-IP": "203.0.113.8", "X-WEBAUTH-USER": "admin", "User-Agent": agent}
            assert c.post(server.url + "/api/v1/auth/login", json=body, headers=head).status_code == 200
        return db.one("SELECT host(ip_address) FROM audit_logs WHERE user_agent = %s ORDER BY seq DESC LIMIT 1", agent)
    assert login_from("127.0.0.9", "exact") == "203.0.113.7"
    assert login_from("127.0.5.77", "network") == "203.0.113.7"
    assert login_from("127.0.0.8", "stranger") == "127.0.0.8"
    file.write_text("server:\n  trustedProxies: [127.0.0.8]\n")
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while not [e for e in server.events("conf.applied") if e["key"] == "server.trustedProxies"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert login_from("127.0.0.8", "new proxy") == "203.0.113.7"
    assert login_from("127.0.5.77", "old proxy") == "127.0.5.77"
    file.write_text("server:\n  trustedProxies: [nonsense]\n")
    server.process.send_signal(signal.SIGHUP)
    while not server.events("conf.reload_failed"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert login_from("127.0.0.8", "after a bad file") == "203.0.113.7"
