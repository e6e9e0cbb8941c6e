#!/usr/bin/env python3
"""clang-tidy over the product's C files: tidy.py BUILD CACHE JOBS.

A file that was clean stays clean until it, a header of ours that it includes, its compile command, .clang-tidy or clang-tidy itself
changes: such files are not looked at again. CACHE keeps one empty file per clean state.
"""
import concurrent.futures
import hashlib
import json
import pathlib
import re
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
OURS = ("core", "server", "handlers", "cli")
KEEP_DAYS = 30
KNOWS = ROOT / "tests/lint/analyzer.h"
DEFINES = ROOT / "core/base/err.c"  # what KNOWS speaks of; its macros would be in the way there


def commands(build):
    """Source below ROOT -> compile command, of the first target that has it."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["file"])
        if path.suffix == ".c" and path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in OURS:
            found.setdefault(path, (entry["directory"], shlex.split(entry["command"])))
    return found


def key(path, directory, command, common):
    """Raw texts rather than preprocessed ones: NOLINT is a comment."""
    plain = [a for i, a in enumerate(command) if not (a in ("-c", "-o") or command[i - 1] == "-o" or a.endswith("ccache"))]
    deps = subprocess.run([*plain, "-MM"], cwd=directory, capture_output=True, text=True)
    if deps.returncode:
        return None
    h = hashlib.sha256(common)
    h.update(" ".join(plain).replace(str(ROOT), ".").encode())
    for name in sorted(set(re.split(r"[\s\\]+", deps.stdout.partition(":")[2].strip()))):
        h.update(pathlib.Path(directory, name).read_bytes() + b"\0")
    return h.hexdigest()


def main(build, cache, jobs):
    version = subprocess.run(["clang-tidy", "--version"], check=True, capture_output=True).stdout
    common = version + (ROOT / ".clang-tidy").read_bytes() + KNOWS.read_bytes()
    cache.mkdir(parents=True, exist_ok=True)
    for old in cache.iterdir():
        if time.time() - old.stat().st_mtime > KEEP_DAYS * 86400:
            old.unlink(missing_ok=True)

    def look(item):
        path, (directory, command) = item
        name = key(path, directory, command, common)
        clean = cache / name if name else None
        if clean and clean.exists():
            clean.touch()
            return True, None
        extra = [] if path == DEFINES else ["--extra-arg=-include", f"--extra-arg={KNOWS}"]
        done = subprocess.run(["clang-tidy", "-p", build, "--quiet", *extra, path], capture_output=True, text=True)
        if done.returncode == 0:
            if clean:
                clean.touch()
            return False, None
        return False, (done.stdout or done.stderr).replace(f"{ROOT}/", "")

    files = commands(build)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(look, sorted(files.items())))
    problems = [text for _, text in results if text]
    print("".join(problems), end="")
    print(f"tidy: {len(files)} files, {sum(known for known, _ in results)} as before, {len(problems)} with problems")
    return 1 if problems or not files else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]), int(sys.argv[3])))
