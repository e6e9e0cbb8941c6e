#!/usr/bin/env python3
"""Compile sql/queries/*.sql and sql/migrations/*.sql into C.

A query file holds blocks of

    -- name: app_by_id
    -- any further comment
    SELECT ... WHERE id = $1;

Each becomes SQL_APP_BY_ID of `enum stmt` and one row of pg_stmt_defs[].  A C file that names a
statement which does not exist does not compile; a statement that no C file names is reported by
--check-used.
"""
import argparse
import hashlib
import pathlib
import re
import sys

NAME = re.compile(r"^--\s*name:\s*(\S+)\s*$")
VALID_NAME = re.compile(r"^[a-z][a-z0-9]*(_[a-z0-9]+)+$")
MIGRATION = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")
USE = re.compile(r"\bSQL_([A-Z0-9_]+)\b")
TOKEN = re.compile(
    r"""--[^\n]*            # line comment
      | /\*.*?\*/           # block comment
      | '(?:[^']|'')*'      # string
      | "(?:[^"]|"")*"      # quoted identifier
      | (\$[A-Za-z_]*\$).*?\1   # dollar quoting
      | \$(\d+)             # parameter
      | ;""",
    re.X | re.S,
)


class Bad(Exception):
    """A mistake in an SQL file, told as file:line: message."""


class Query:
    def __init__(self, name, where):
        self.name, self.where, self.lines = name, where, []
        self.text, self.nparams = "", 0

    def finish(self):
        """Take comments out (keeping line structure), count parameters, refuse two statements."""
        out, pos, params, ended = [], 0, 0, False
        source = "\n".join(self.lines)
        for m in TOKEN.finditer(source):
            between = source[pos:m.start()]
            if ended and between.strip():
                raise Bad(f"{self.where}: {self.name}: text after the ';'")
            out.append(between)
            token, pos = m.group(0), m.end()
            if token.startswith("--") or token.startswith("/*"):
                continue
            if ended:
                raise Bad(f"{self.where}: {self.name}: more than one statement")
            if token == ";":
                ended = True
                continue
            if m.group(2):
                params = max(params, int(m.group(2)))
            out.append(token)
        rest = source[pos:]
        if ended and rest.strip():
            raise Bad(f"{self.where}: {self.name}: text after the ';'")
        out.append(rest)
        lines = (line.rstrip() for line in "".join(out).splitlines())
        self.text = "\n".join(line for line in lines if line.strip())
        self.nparams = params
        if not self.text:
            raise Bad(f"{self.where}: {self.name}: no statement")


def read_queries(folder):
    found = {}
    for path in sorted(folder.glob("*.sql")):
        current = None
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            where = f"{path}:{number}"
            m = NAME.match(line)
            if m:
                name = m.group(1)
                if not VALID_NAME.match(name):
                    raise Bad(f"{where}: name '{name}' is not of the form area_verb")
                if name in found:
                    raise Bad(f"{where}: name '{name}' is taken by {found[name].where}")
                current = found[name] = Query(name, where)
            elif current is not None:
                current.lines.append(line)
            elif line.strip() and not line.lstrip().startswith("--"):
                raise Bad(f"{where}: SQL before the first '-- name:'")
    for query in found.values():
        query.finish()
    return [found[name] for name in sorted(found)]


def read_migrations(folder):
    found = []
    for path in sorted(folder.glob("*.sql")):
        m = MIGRATION.match(path.name)
        if not m:
            raise Bad(f"{path}: not named NNNN_name.sql")
        data = path.read_bytes()
        found.append((int(m.group(1)), m.group(2), hashlib.sha256(data).hexdigest(), data))
    for before, after in zip(found, found[1:]):
        if after[0] != before[0] + 1:
            raise Bad(f"{folder}: {before[0]:04d} is followed by {after[0]:04d}")
    return found


def c_string(data, indent="     "):
    """A C string literal, one source line per line of text, split below the compiler's limits."""
    lines = data.split(b"\n")
    parts = []
    for i, line in enumerate(lines):
        if i < len(lines) - 1:
            line += b"\n"
        text = ""
        for byte in line:
            char = chr(byte)
            if char == "\n":
                text += "\\n"
            elif char in '"\\':
                text += "\\" + char
            elif char == "?":
                text += "\\?"  # no trigraphs
            elif 32 <= byte < 127:
                text += char
            else:
                text += f"\\{byte:03o}"
        if text:
            parts.append(f'{indent}"{text}"')
    return "\n".join(parts) or f'{indent}""'


HEADER = """/* Made by cmake/gen_sql.py from sql/: do not edit. */
#pragma once
#include <stddef.h>

enum stmt {
%s    SQL_COUNT
};

struct pg_stmt_def {
    const char *name;
    const char *text;
    int nparams; /* highest $n */
};
/* Indexed by enum stmt; SQL_COUNT rows. */
extern const struct pg_stmt_def pg_stmt_defs[];

struct pg_migration_def {
    int number;
    const char *name;
    const char *sha256; /* of the file, in hexadecimal */
    const char *text;
};
/* In ascending order of number. */
extern const struct pg_migration_def pg_migration_defs[];
extern const size_t pg_migration_count;
"""


def render(queries, migrations):
    enum = "".join(f"    SQL_{q.name.upper()}, /* {pathlib.Path(q.where.rsplit(':', 1)[0]).name} */\n"
                   for q in queries)
    rows = [f'    [SQL_{q.name.upper()}] = {{"{q.name}",\n{c_string(q.text.encode())},\n     {q.nparams}}},\n'
            for q in queries]
    steps = [f'    {{{number}, "{name}", "{sha}",\n{c_string(data)}}},\n' for number, name, sha, data in migrations]
    top = '/* Made by cmake/gen_sql.py from sql/: do not edit. */\n#include "core/pg/statements.h"\n\n'
    # One row more than needed: C has no empty arrays.
    return {
        "statements.h": HEADER % enum,
        "statements.c": top + "const struct pg_stmt_def pg_stmt_defs[SQL_COUNT + 1] = {\n" + "".join(rows)
        + "    [SQL_COUNT] = {NULL, NULL, 0},\n};\n",
        "migrations.c": top + "const struct pg_migration_def pg_migration_defs[] = {\n" + "".join(steps)
        + "    {0, NULL, NULL, NULL},\n};\n"
        + f"const size_t pg_migration_count = {len(migrations)};\n",
    }


def write_changed(path, text):
    """Leave an unchanged file alone, so that nothing is compiled again for it."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def unused(queries, root):
    used = set()
    for folder in ("core", "server", "handlers", "cli"):
        for path in (root / folder).rglob("*.[ch]"):
            used.update(USE.findall(path.read_text(encoding="utf-8", errors="replace")))
    return [q for q in queries if q.name.upper() not in used]


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--sql", required=True, type=pathlib.Path)
    args.add_argument("--out", type=pathlib.Path)
    args.add_argument("--check-used", type=pathlib.Path, metavar="ROOT")
    args = args.parse_args()
    try:
        queries = read_queries(args.sql / "queries")
        migrations = read_migrations(args.sql / "migrations")
    except Bad as e:
        print(e, file=sys.stderr)
        return 1
    if args.out:
        for name, text in render(queries, migrations).items():
            write_changed(args.out / name, text)
    if args.check_used:
        missing = unused(queries, args.check_used)
        for q in missing:
            print(f"{q.where}: {q.name}: no C file uses SQL_{q.name.upper()}", file=sys.stderr)
        return 1 if missing else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
