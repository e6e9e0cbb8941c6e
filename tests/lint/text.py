#!/usr/bin/python3
"""Plain rules over every tracked text file: no call of a banned function, no trailing blanks, no
absolute build paths, a final newline, no registry address in a lock file."""
import pathlib
import re
import subprocess
import sys

# core/base/banned.h stops these in our own translation units; this finds them in shims (C++), and in
# files that no build compiles.
BANNED = re.compile(
    r"(?<![\w.>])(system|popen|strcpy|strcat|sprintf|vsprintf|strtok|gets|alloca|tmpnam|mktemp|"
    r"PQescape\w+|PQexec|PQprepare)\s*\("
)
PATHS = re.compile(r"/(home|root|Users)/[a-z]")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.S)
BINARY = {".png", ".jpg", ".ico", ".woff", ".woff2", ".gz", ".br", ".tar", ".der", ".bin"}


def without_comments(text):
    """Comments and strings blanked, lines kept."""
    return COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def tracked(root):
    out = subprocess.run(["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z"], check=True,
                         stdout=subprocess.PIPE).stdout
    return [root / p for p in sorted(out.decode().split("\0")) if p]


def check_c(name, text, problems):
    if name == "core/base/banned.h" or not name.startswith(("core/", "server/", "handlers/", "cli/")):
        return
    for number, line in enumerate(without_comments(text).splitlines(), 1):
        m = BANNED.search(line)
        if m and not line.lstrip().startswith("#define"):
            problems.append(f"{name}:{number}: {m.group(1)}() is banned")


def check_plain(name, text, problems):
    if name == "LICENSE" or name.startswith(("tests/fuzz/corpus/", "tests/data/")):
        return
    if text and not text.endswith("\n"):
        problems.append(f"{name}: no newline at the end")
    for number, line in enumerate(text.splitlines(), 1):
        if line != line.rstrip() and not name.endswith(".md"):
            problems.append(f"{name}:{number}: blanks at the end of the line")
        if PATHS.search(line) and name.endswith((".c", ".h", ".cmake", ".txt", ".py", ".sh", ".ts", ".tsx")):
            problems.append(f"{name}:{number}: absolute path of a person's machine")
    if name.endswith("package-lock.json") and '"resolved": "http' in text:
        problems.append(f"{name}: the lock file names a registry (set omit-lockfile-registry-resolved)")


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    problems, count = [], 0
    for path in tracked(root):
        if path.suffix in BINARY or path.is_symlink() or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        count += 1
        name = path.relative_to(root).as_posix()
        check_plain(name, text, problems)
        if path.suffix in (".c", ".h", ".cc"):
            check_c(name, text, problems)
    for problem in problems:
        print(problem)
    print(f"text: {count} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
