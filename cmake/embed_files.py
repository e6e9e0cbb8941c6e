#!/usr/bin/env python3
"""Embed small files as a C table: name (path below the folder, without its suffix if --strip), bytes, length."""
import argparse
import pathlib
import sys


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--dir", required=True, type=pathlib.Path)
    args.add_argument("--suffix", default="", help="only files with this suffix; it is cut from the name")
    args.add_argument("--symbol", required=True)
    args.add_argument("--header", required=True, help="include that declares struct embedded_file and the table")
    args.add_argument("--out", required=True, type=pathlib.Path)
    args = args.parse_args()
    files = sorted(p for p in args.dir.glob("*" + args.suffix) if p.is_file()) if args.dir.is_dir() else []
    rows, data = [], []
    for i, path in enumerate(files):
        name = path.name[:-len(args.suffix)] if args.suffix else path.name
        bytes_ = path.read_bytes()
        text = ",".join(str(b) for b in bytes_)
        data.append(f"static const unsigned char f{i}[] = {{{text},0}};\n")
        rows.append(f'    {{"{name}", f{i}, {len(bytes_)}}},\n')
    out = (f'/* Made by cmake/embed_files.py: do not edit. */\n#include "{args.header}"\n\n' + "".join(data)
           + f"const struct embedded_file {args.symbol}[] = {{\n" + "".join(rows)
           + "    {0},\n};\n" + f"const size_t {args.symbol}_count = {len(files)};\n")
    if not args.out.exists() or args.out.read_text(encoding="utf-8") != out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(out, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
