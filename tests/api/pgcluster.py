"""A PostgreSQL of a test's own, which may be stopped, frozen, filled up or promoted, and a proxy that misbehaves in front of one."""
import contextlib
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import psycopg2

import conftest


def bin_dir():
    return pathlib.Path(conftest.lab("lab_pg_bin").strip())


def as_postgres(*args):
    """PostgreSQL refuses to run as root."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--", *map(str, args)] if os.geteuid() == 0 else [*map(str, args)]


def run(*args):
    done = subprocess.run(as_postgres(*args), cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    return done.stdout


class Cluster:
    """Made by initdb, or from a running one by pg_basebackup (then a hot standby of it)."""

    def __init__(self, source=None, **settings):
        self.bin, self.port = bin_dir(), conftest.free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dfpg-", dir="/tmp"))
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self.data = self.folder / "data"
        if source:
            run(self.bin / "pg_basebackup", "-h", source.folder, "-p", source.port, "-U", "postgres", "-D", self.data, "-R", "-X", "stream", "-c", "fast")
        else:
            run(self.bin / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self.settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.folder, "fsync": "off",
                         "max_connections": 60, "shared_buffers": "32MB", "restart_after_crash": "on", **settings}
        self.start()
        if not source:
            self.sql("CREATE DATABASE app", database="postgres")

    @property
    def url(self):
        return f"postgresql:///app?host={self.folder}&port={self.port}&user=postgres"

    @property
    def tcp_url(self):
        return f"postgresql://postgres@127.0.0.1:{self.port}/app"

    def start(self):
        options = " ".join(f"-c {k}={v}" for k, v in self.settings.items())
        run(self.bin / "pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "-t", "60", "-o", options, "start")

    def stop(self, mode="fast"):
        run(self.bin / "pg_ctl", "-D", self.data, "-m", mode, "-w", "-t", "60", "stop")

    def remove(self):
        self.signal(signal.SIGCONT)
        with contextlib.suppress(AssertionError):
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, text, *args, database="app", setting=""):
        with contextlib.closing(psycopg2.connect(host=str(self.folder), port=self.port, user="postgres", dbname=database, options=setting)) as c:
            c.autocommit = True
            cursor = c.cursor()
            cursor.execute(text, args or None)
            return cursor.fetchall() if cursor.description else []

    def one(self, text, *args):
        rows = self.sql(text, *args)
        return rows[0][0] if rows else None

    def connect(self):
        return psycopg2.connect(host=str(self.folder), port=self.port, user="postgres", dbname="app")

    def configure(self, name, value):
        self.sql(f"ALTER SYSTEM SET {name} = %s" if value is not None else f"ALTER SYSTEM RESET {name}", *([value] if value is not None else []))
        self.sql("SELECT pg_reload_conf()")

    def terminate(self, where):
        """How many backends of the server under test were told to go."""
        return len(self.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'dockflow %' AND {where}"))

    def processes(self):
        """The postmaster and its children."""
        with contextlib.suppress(OSError, ValueError):
            top = int((self.data / "postmaster.pid").read_text().split()[0])
            children = pathlib.Path(f"/proc/{top}/task/{top}/children").read_text().split()
            return [top, *map(int, children)]
        return []

    def signal(self, sig):
        for pid in self.processes():
            with contextlib.suppress(OSError):
                os.kill(pid, sig)


class Proxy:
    """TCP in front of a cluster. mode: pass; silent = accepts and says nothing, on open connections too; slow = `delay` late."""

    def __init__(self, port, delay=2.0):
        self.target, self.delay, self.mode = port, delay, "pass"
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.ended = False
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        return f"postgresql://postgres@127.0.0.1:{self.port}/app"

    def accept(self):
        while not self.ended:
            with contextlib.suppress(OSError):
                client, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.target)) as server:
            other = {client: server, server: client}
            while not self.ended:
                if self.mode == "silent":
                    time.sleep(0.1)
                    continue
                for s in select.select([client, server], [], [], 0.2)[0]:
                    data = s.recv(65536)
                    if not data:
                        return
                    if s is server and self.mode == "slow":
                        time.sleep(self.delay)
                    other[s].sendall(data)

    def close(self):
        self.ended = True
        self.listener.close()
