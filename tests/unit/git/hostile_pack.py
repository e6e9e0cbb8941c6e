"""Packs no client would make: hostile_pack.py KIND REPOSITORY. Puts one into a bare repository, with refs/heads/main on it.

tree: a directory of 17 MiB, refs/heads/sub has it one level down. commit: a commit of 2 MiB. tag: a tag of 2 MiB, as refs/tags/t.
base: a small directory, stored as the difference to one of 17 MiB. loop: ten tags, each pointing at the next.
"""
import hashlib
import struct
import subprocess
import sys
import zlib

COMMIT, TREE, BLOB, TAG, REF_DELTA = 1, 2, 3, 4, 7
NAMES = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob", TAG: b"tag"}
WHO = b"A <a@x> 1700000000 +0000\n"


def oid(kind, data):
    return hashlib.sha1(NAMES[kind] + b" %d\0" % len(data) + data)


def number(n, first=7, high=0):
    """Seven bits a byte, least first; of the first byte `first` bits, below `high`."""
    out = [high | (n & ((1 << first) - 1))]
    n >>= first
    while n:
        out[-1] |= 0x80
        out.append(n & 0x7F)
        n >>= 7
    return bytes(out)


class Pack:
    def __init__(self):
        self.objects = []

    def add(self, kind, data):
        self.objects.append(number(len(data), 4, kind << 4) + zlib.compress(data, 1))
        return oid(kind, data)

    def add_start_of(self, kind, base, n):
        """The first n bytes of another object, as a delta."""
        delta = number(len(base)) + number(n) + bytes([0x90, n])
        self.objects.append(number(len(delta), 4, REF_DELTA << 4) + oid(kind, base).digest() + zlib.compress(delta))
        return oid(kind, base[:n])

    def tree(self, *entries):
        return self.add(TREE, b"".join(mode + b" " + name + b"\0" + of.digest() for mode, name, of in entries))

    def commit(self, tree, message=b"x"):
        return self.add(COMMIT, b"tree " + tree.hexdigest().encode() + b"\nauthor " + WHO + b"committer " + WHO + b"\n" + message + b"\n")

    def tag(self, of, kind, message=b"x"):
        return self.add(TAG, b"object " + of.hexdigest().encode() + b"\ntype " + NAMES[kind] + b"\ntag t\ntagger " + WHO + b"\n" + message + b"\n")

    def bytes(self):
        body = b"PACK" + struct.pack(">II", 2, len(self.objects)) + b"".join(self.objects)
        return body + hashlib.sha1(body).digest()


def make(kind):
    """A pack and what its refs point at."""
    p = Pack()
    blob = p.add(BLOB, b"services: {}\n")
    entry = 7 + 8 + 1 + 20
    huge = b"".join(b"100644 f%07d\0" % i + blob.digest() for i in range((17 << 20) // entry))
    small = p.tree((b"100644", b"compose.yaml", blob))
    main = p.commit(small)
    if kind == "tree":
        tree = p.add(TREE, huge)
        refs = dict(main=p.commit(tree), sub=p.commit(p.tree((b"40000", b"dir", tree))))
    elif kind == "commit":
        refs = dict(main=p.commit(small, b"x" * (2 << 20)))
    elif kind == "tag":
        refs = dict(main=main, t=p.tag(main, COMMIT, b"x" * (2 << 20)))
    elif kind == "base":
        p.add(TREE, huge)
        refs = dict(main=p.commit(p.add_start_of(TREE, huge, 2 * entry)))
    elif kind == "loop":
        tag = p.tag(main, COMMIT)
        for _ in range(10):
            tag = p.tag(tag, TAG)
        refs = dict(main=main, t=tag)
    return p.bytes(), {"refs/tags/t" if name == "t" else f"refs/heads/{name}": of.hexdigest() for name, of in refs.items()}


def main(kind, repository):
    data, refs = make(kind)
    git = ["git", "-C", repository]
    subprocess.run([*git, "index-pack", "--stdin"], input=data, check=True, stdout=subprocess.DEVNULL)
    for name, of in refs.items():
        subprocess.run([*git, "update-ref", name, of], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
