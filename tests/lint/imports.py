#!/usr/bin/env python3
"""Which library of ours may ask for which outside function, read from the objects: imports.py BUILD.

A call hidden behind a macro or a cast does not pass here. Names not listed are free; third-party archives are not looked at.
"""
import pathlib
import re
import subprocess
import sys

# function (whole name) -> objects that may import it; none: nobody may
ALLOWED = [
    # Connections leave through core/async, where deadlines, address rules and TLS are; names resolve in its thread.
    # (The Git helper is a process of its own without a loop, and talks to one host and port.)
    (r"connect|socket", ("core_git/helper_stream",)),
    (r"sendto|res_n?query|gethostby\w+", ()),
    (r"getaddrinfo", ("core_async/dns", "core_git/helper_stream")),
    (r"uv_getaddrinfo", ("core_async/dns",)),
    (r"uv_(tcp|pipe|udp)_connect\d?", ("core_async/stream_uv",)),
    # Children are made in one place, without a shell.
    (r"uv_spawn", ("core_async/proc",)),
    (r"system|popen|v?fork|clone|exec[vl]\w*|posix_spawnp?", ()),
    # SQL is compiled in and takes parameters; large objects, COPY and the blocking calls have no place on the loop.
    (r"PQescape\w*|PQexec\w*|PQprepare|PQconnectdb\w*|PQsetdbLogin|PQputCopy\w*|PQgetCopy\w*|PQfn|lo_\w+", ()),
    (r"PQconnect\w+", ("core_pg/pg_link",)),
    # A helper that can be killed talks to remotes; nobody else does, and user text never reaches revparse.
    (r"git_remote_(fetch|connect\w*|download|push|ls)", ("core_git/helper_remote",)),
    (r"git_clone|git_checkout_\w+|git_submodule_\w+|git_filter_\w+|git_revparse\w*", ()),
    (r"dlopen|mktemp|tmpnam|tempnam|gets|rand|random|drand48|srand", ()),
]


def imports(archive):
    """(object, symbol) of every undefined symbol in the archive."""
    out = subprocess.run(["nm", "-A", "-u", archive], check=True, capture_output=True, text=True).stdout
    library = archive.stem.removeprefix("lib")
    for line in out.splitlines():
        place, _, symbol = line.rpartition(" U ")
        member = place.strip(": ").rsplit(":", 1)[-1].strip()
        yield f"{library}/{re.sub(r'[.](c|cc)[.]o$', '', member)}", symbol.split("@")[0]


def main(build):
    archives = sorted([*build.glob("core/*/libcore_*.a"), *build.glob("*/libdf_*.a")])
    problems = []
    seen = set()
    for archive in archives:
        for where, symbol in imports(archive):
            for pattern, allowed in ALLOWED:
                if re.fullmatch(pattern, symbol):
                    seen.add(where)
                    if where not in allowed:
                        problems.append(f"{where} imports {symbol}; " + (f"only {', '.join(allowed)} may" if allowed else "nobody may"))
    # An object that has moved would leave a hole that nobody sees.
    if archives:
        gone = {a for _, allowed in ALLOWED for a in allowed} - seen
        problems += [f"{a} is allowed something that it does not import; is it called otherwise now?" for a in sorted(gone)]
    print("\n".join([*problems, f"imports: {len(archives)} libraries, {len(problems)} problems"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
