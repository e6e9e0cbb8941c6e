#!/usr/bin/python3
"""count.py FORMAT FILE...: prints "PASSED FAILED SKIPPED" of one suite's reports.

junit   JUnit XML of pytest or vitest
ctest   JUnit XML of ctest whose tests are cmocka programs: counts the tests inside each program
line    text that ends with "N passed, N failed, N skipped"
"""
import re
import sys
import xml.etree.ElementTree as ET

LINE = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped")


def of_junit(path):
    passed = failed = skipped = 0
    for case in ET.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def cmocka(output):
    """Counts from cmocka's own lines; None when the program printed no summary."""
    def total(word):
        return sum(int(n) for n in re.findall(rf"\[  {word} +\] (\d+) test\(s\)", output))

    if not re.search(r"\[==========\] (?:\S+: )?\d+ test\(s\) run", output):
        return None
    return total("PASSED"), total("FAILED"), total("SKIPPED")


def of_ctest(path):
    passed = failed = skipped = 0
    for case in ET.parse(path).getroot().iter("testcase"):
        bad = case.get("status") == "fail" or case.find("failure") is not None
        inner = cmocka(case.findtext("system-out") or "")
        if inner is None:
            inner = (0, 1, 0) if bad else (1, 0, 0)
        elif bad and inner[1] == 0:
            inner = (inner[0], 1, inner[2])  # passed, then died: a leak or a sanitizer's report
        passed, failed, skipped = passed + inner[0], failed + inner[1], skipped + inner[2]
    return passed, failed, skipped


def of_line(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        found = LINE.findall(f.read())
    if not found:
        raise SystemExit(f"{path}: no closing line")
    return tuple(int(n) for n in found[-1])


if __name__ == "__main__":
    read = {"junit": of_junit, "ctest": of_ctest, "line": of_line}[sys.argv[1]]
    print(*map(sum, zip(*map(read, sys.argv[2:]))))
