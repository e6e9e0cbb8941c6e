"""A Git server over HTTP that means harm: hostile_git.py LOG. Prints its two ports; the first path component chooses the trick.

LOG gets a line "PORT PATH AUTHORIZATION" for each request, for the test to see who was told what.
"""
import functools
import http.server
import os
import struct
import sys
import threading
import zlib

import hostile_pack

OID = "1" * 40
log = open(sys.argv[1], "w", buffering=1)


def pkt(data):
    data = data if isinstance(data, bytes) else data.encode()
    return b"%04x" % (len(data) + 4) + data


def advertisement(oid=OID):
    return (pkt("# service=git-upload-pack\n") + b"0000" + pkt(f"{oid} HEAD\0side-band-64k ofs-delta symref=HEAD:refs/heads/main\n")
            + pkt(f"{oid} refs/heads/main\n") + b"0000")


def pack(count, body=b""):
    return b"PACK" + struct.pack(">II", 2, count) + body


@functools.cache
def base():
    return hostile_pack.make("base")


# What follows a good advertisement: the answer to git-upload-pack, after NAK.
PACKS = {
    "objects": [pkt(b"\x01" + pack(10_000_000, b"\x90" + zlib.compress(b"x" * 100)))],
    "zlib": [pkt(b"\x01" + pack(1, b"\x95\x0a" + zlib.compress(b"x" * 100)[:5])), b"0000"],
    "garbage": [pkt(b"\x01" + b"not a pack at all" * 100), b"0000"],
    "fatal": [pkt(b"\x03" + b"no, and here is why\x1b[2J\n"), b"0000"],
}


# Where a request for refs is sent on to: another port, this port by another name, another place of this server.
AWAY = {
    "redirect": lambda: f"http://127.0.0.1:{other.server_port}",
    "rename": lambda: f"http://localhost:{first.server_port}",
    "moved": lambda: f"http://127.0.0.1:{first.server_port}",
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def log_message(self, *args):
        pass

    def answer(self, kind, chunks):
        self.send_response(200)
        self.send_header("Content-Type", f"application/x-git-upload-pack-{kind}")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(chunk)

    def trouble(self, trick):
        """Advertisements that are none."""
        if trick == "pktline":
            return [b"zzzz this is no length\n"]
        if trick == "short":
            return [b"0003"]
        if trick == "long":
            return [b"ffff" + b"x" * 100]
        if trick == "nul":
            return [pkt(b"# service=git-upload-pack\n") + b"0000" + pkt(b"\0" * 500)]
        if trick == "names":
            return [pkt(b"# service=git-upload-pack\n") + b"0000" + pkt(f"{OID} refs/heads/../../config\0side-band-64k\n")
                    + pkt(f"{OID} HEAD\n") + b"0000"]
        return None

    def endless(self, chunk, first=b""):
        yield first
        while True:
            yield chunk

    def do_GET(self):
        trick = self.path.split("/")[1]
        log.write(f"{self.server.server_port} {self.path} {self.headers.get('Authorization', '-')}\n")
        if trick in AWAY:
            self.send_response(302)
            self.send_header("Location", f"{AWAY[trick]()}/private/info/refs?service=git-upload-pack")
            self.end_headers()
        elif trick == "private" and "Authorization" not in self.headers:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="give it to me"')
            self.end_headers()
        elif trick == "refs":
            self.answer("advertisement", self.endless(pkt(f"{OID} refs/heads/b\n") * 100))
        else:
            self.answer("advertisement", self.trouble(trick) or [advertisement(base()[1]["refs/heads/main"] if trick == "base" else OID)])

    def do_POST(self):
        trick = self.path.split("/")[1]
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if trick == "sideband":
            self.answer("result", self.endless(pkt(b"\x02still counting objects\r") * 100, pkt("NAK\n")))
        elif trick == "base":
            data = base()[0]
            self.answer("result", [pkt("NAK\n"), *(pkt(b"\x01" + data[i : i + 60000]) for i in range(0, len(data), 60000)), b"0000"])
        else:
            self.answer("result", [pkt("NAK\n"), *PACKS.get(trick, [b"0000"])])


def serve():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *args: None  # a client that has had enough is what is wanted
    threading.Thread(target=server.serve_forever).start()
    return server


first, other = serve(), serve()
print(first.server_port, other.server_port, flush=True)
sys.stdin.read()  # ends with whoever started it
os._exit(0)
