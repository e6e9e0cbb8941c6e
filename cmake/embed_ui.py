#!/usr/bin/env python3
"""Embed a built web UI: every file with its gzip and brotli twin, as data of the executable.

The bytes go in by the assembler's .incbin, which takes no compile time.  Twins are kept by content
hash beside the output, so an unchanged file is not compressed again.
"""
import argparse
import gzip
import hashlib
import pathlib
import re
import shutil
import subprocess
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".map": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".txt": "text/plain; charset=utf-8",
}
# Compressed formats gain nothing from a twin.
COMPRESSED = {".png", ".jpg", ".webp", ".woff", ".woff2"}
# Vite's hashed names: name-<8 or more of its alphabet>.ext below assets/.
HASHED = re.compile(r"^/assets/.*-[A-Za-z0-9_-]{8,}\.[a-z0-9.]+$")

HEADER = """/* Made by cmake/embed_ui.py: do not edit. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct static_asset {
    const char *path; /* with the leading slash */
    const char *content_type;
    const char *etag; /* quoted, strong */
    bool immutable;   /* the name holds a hash of the content */
    const uint8_t *identity;
    size_t identity_len;
    const uint8_t *gzip; /* NULL when it would not be smaller */
    size_t gzip_len;
    const uint8_t *br;
    size_t br_len;
};

/* Sorted by path (byte order). */
extern const struct static_asset static_assets[];
extern const size_t static_assets_count;
"""


def brotli(data):
    try:
        import brotli as module
        return module.compress(data)
    except ImportError:
        pass
    tool = shutil.which("brotli")
    if not tool:
        return None
    return subprocess.run([tool, "-q", "11", "-c", "-"], input=data, stdout=subprocess.PIPE, check=True).stdout


def twin(cache, digest, suffix, make):
    """The path of a compressed twin, or None when it is not worth having."""
    path = cache / f"{digest}.{suffix}"
    if not path.exists():
        data = make()
        if data is None:
            return None
        tmp = path.with_suffix(path.suffix + ".tmp")
        tmp.write_bytes(data)
        tmp.rename(path)
    return path


def incbin(label, path):
    text = str(path)
    if '"' in text or "\\" in text:
        sys.exit(f"embed_ui: cannot embed a path with quotes: {text}")
    return (f'__asm__(".section .rodata\\n.balign 16\\n{label}:\\n.incbin \\"{text}\\"\\n.byte 0\\n.previous\\n");\n'
            f'extern const uint8_t {label}[];\n')


def asset(index, ui, path, cache):
    """C text that pulls the bytes in, and the row that describes them."""
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    name = "/" + path.relative_to(ui).as_posix()
    content_type = TYPES.get(path.suffix, "application/octet-stream")
    keep = cache / f"{digest}.raw"
    if not keep.exists():
        keep.write_bytes(data)  # the UI folder may be rebuilt while the compiler reads
    decl, fields = incbin(f"df_ui_{index}_raw", keep), [f"df_ui_{index}_raw, {len(data)}"]
    makers = {"gz": lambda: gzip.compress(data, 9, mtime=0), "br": lambda: brotli(data)}
    for suffix, make in makers.items():
        small = None if path.suffix in COMPRESSED or len(data) < 512 else twin(cache, digest, suffix, make)
        if small is None or small.stat().st_size >= len(data):
            fields.append("NULL, 0")
            continue
        label = f"df_ui_{index}_{suffix}"
        decl += incbin(label, small)
        fields.append(f"{label}, {small.stat().st_size}")
    immutable = "true" if HASHED.match(name) else "false"
    row = f'    {{"{name}", "{content_type}", "\\"{digest[:32]}\\"", {immutable},\n     {", ".join(fields)}}},\n'
    return decl, row


def write_changed(path, text):
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--ui", required=True, type=pathlib.Path)
    args.add_argument("--out", required=True, type=pathlib.Path)
    args = args.parse_args()
    cache = args.out / "assets"
    cache.mkdir(parents=True, exist_ok=True)
    files = []
    if (args.ui / "index.html").exists():
        files = [p for p in args.ui.rglob("*") if p.is_file() and p.suffix != ".map"]
        files.sort(key=lambda p: "/" + p.relative_to(args.ui).as_posix())
    parts = [asset(i, args.ui, path, cache) for i, path in enumerate(files)]
    text = ('/* Made by cmake/embed_ui.py: do not edit. */\n#include "server/static_assets.h"\n\n'
            + "".join(decl for decl, _ in parts)
            + "\nconst struct static_asset static_assets[] = {\n" + "".join(row for _, row in parts)
            + "    {0}, /* C has no empty arrays */\n};\n"
            + f"const size_t static_assets_count = {len(parts)};\n")
    write_changed(args.out / "static_assets.h", HEADER)
    write_changed(args.out / "static_assets.c", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
