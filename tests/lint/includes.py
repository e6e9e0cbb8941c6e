#!/usr/bin/python3
"""Includes keep the direction of the architecture; nothing but the standard library is needed.

    handlers -> server + core;  server -> core;  cli -> core;  core/x -> core/async -> core/base

Within core/ the folders above core/async may use each other, but never in a circle.  Some libraries
belong to one folder.  Prints file:line: message per mistake and the count of checked files.
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')

# What the lowest folders may use; a folder that is not named may use everything in core/.
ONLY = {
    "core/base": {"core/base"},
    "core/async": {"core/base", "core/async"},
    "core/obs": {"core/base", "core/async", "core/obs"},
    "core/conf": {"core/base", "core/async", "core/obs", "core/conf"},
    "core/compose": {"core/base", "core/compose"},
}
# The one place that knows all parts.
COMPOSITION_ROOT = "server/main.c"

# Library header -> the only folders that may include it.
OWNERS = [
    (re.compile(r"^h2o(\.h|/)|^picohttpparser\.h$"), {"server"}),
    (re.compile(r"^(libpq-fe|libpq/|pg_config|postgres_ext|libpq-events)"), {"core/pg"}),
    (re.compile(r"^git2(\.h|/)"), {"core/git"}),
    (re.compile(r"^uv(\.h|/)"), {"core/async", "core/pg", "server"}),
    (re.compile(r"^openssl/"), {"core/crypto", "core/async", "server"}),
    (re.compile(r"^llhttp\.h$"), {"core/http"}),
    (re.compile(r"^wslay/"), {"server"}),
    (re.compile(r"^yaml\.h$"), {"core/compose", "core/conf"}),
    (re.compile(r"^boost/"), set()),
]


def folder_of(path):
    """core/<x> for files below core/, else the top folder."""
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "core" else parts[0]


def allowed(source, folder, target):
    """An error message, or None when `folder` may include from folder `target`."""
    if folder in ONLY and target not in ONLY[folder]:
        return f"{folder} may only include from {', '.join(sorted(ONLY[folder]))}, not {target}"
    if folder.startswith("core/") and not target.startswith("core/"):
        return f"core/ may not include from {target}/"
    if folder == "server" and target in ("handlers", "cli") and source != COMPOSITION_ROOT:
        return f"server/ may not include from {target}/ (only {COMPOSITION_ROOT} may)"
    if folder == "cli" and target in ("server", "handlers"):
        return f"cli/ may not include from {target}/"
    if folder == "handlers" and target == "cli":
        return "handlers/ may not include from cli/"
    return None


def check_library(name, folder):
    for pattern, owners in OWNERS:
        if pattern.match(name) and folder not in owners:
            where = ", ".join(sorted(owners)) or "no folder (declare the C symbols)"
            return f"<{name}> belongs to {where}"
    return None


def circle(edges):
    """One circle among folders as a list, or None.  Depth first, in sorted order for a stable answer."""
    state, path = {}, []

    def visit(node):
        state[node] = "open"
        path.append(node)
        for succ in sorted(edges.get(node, ())):
            if state.get(succ) == "open":
                return path[path.index(succ):] + [succ]
            if succ not in state:
                found = visit(succ)
                if found:
                    return found
        path.pop()
        state[node] = "done"
        return None

    for node in sorted(edges):
        if node not in state:
            found = visit(node)
            if found:
                return found
    return None


def check_file(root, path, edges, problems):
    source = path.relative_to(root).as_posix()
    folder = folder_of(source)
    product = folder.split("/")[0] in ("core", "server", "handlers", "cli")
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        m = INCLUDE.match(line)
        if not m or not product:
            continue
        name, message = m.group(2), check_library(m.group(2), folder)
        target = folder_of(name)
        own = target.split("/")[0] in ("core", "server", "handlers", "cli")
        if own and "/" in name:
            message = message or allowed(source, folder, target)
            if folder != target and folder.startswith("core/") and target.startswith("core/"):
                edges.setdefault(folder, {}).setdefault(target, f"{source}:{number}")
        elif m.group(1) == '"':
            message = message or f'"{name}": write includes of ours from the root'
        if message:
            problems.append(f"{source}:{number}: {message}")


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    problems, edges, count = [], {}, 0
    for folder in ("core", "server", "handlers", "cli"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".c", ".h", ".cc") and path.is_file():
                check_file(root, path, edges, problems)
                count += 1
    found = circle(edges)
    if found:
        steps = [f"{a} -> {b} ({edges[a][b]})" for a, b in zip(found, found[1:])]
        problems.append("circle of includes: " + ", ".join(steps))
    for problem in problems:
        print(problem)
    print(f"includes: {count} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
