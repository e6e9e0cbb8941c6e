#!/usr/bin/python3
"""gaps.py GAPS RUNNER CASES: runs a conformance program; failures that the file GAPS names count as skipped.

GAPS has lines "CASE-ID  why it is not done"; # starts a comment. A named case that passes is a failure as well: the
list would lie otherwise. Ends with "N passed, N failed, N skipped".
"""
import re
import subprocess
import sys


def read_gaps(path):
    gaps = {}
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            line = line.split("#", 1)[0].strip()
            if not line:
                continue
            case, _, why = line.partition(" ")
            if not why.strip():
                raise SystemExit(f"{path}:{number}: {case} has no reason")
            gaps[case] = why.strip()
    return gaps


def main():
    gaps_path, runner, cases = sys.argv[1:]
    gaps = read_gaps(gaps_path)
    run = subprocess.run([runner, cases, "-v"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900, check=False)
    out = run.stdout.decode(errors="replace")
    print(out)
    total = re.findall(r"(\d+) passed, (\d+) failed, (\d+) skipped", out)
    if not total:
        raise SystemExit(f"{runner} ended with {run.returncode} and without its closing line")
    passed, failed, skipped = map(int, total[-1])
    named = set(re.findall(r"^FAIL (\S+?):? ", out, re.M))
    known = named & set(gaps)
    for case in sorted(known):
        print(f"known gap {case}: {gaps[case]}")
    stale = set(gaps) - named
    for case in sorted(stale):
        print(f"FAIL {case}: passes, or is no case any more; take it out of {gaps_path}")
    failed += len(stale) - len(known)
    passed -= min(len(stale), passed)
    print(f"{passed} passed, {failed} failed, {skipped + len(known)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
