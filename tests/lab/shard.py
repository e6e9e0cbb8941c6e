"""A pytest plugin: one suite in several pytest processes side by side, each with servers and session fixtures of its own.

    DF_SHARD_CLAIMS=FOLDER python3 -m pytest -p shard ...      once per process, all with the same (new) folder

Every process collects all of it and runs what it is the first to claim, a module at a time and the long ones first. Modules named
test_zz_* look at what their own process did, so each process runs them, at its end. Without DF_SHARD_CLAIMS nothing changes.
"""
import itertools
import os
import pathlib

import pytest

CLAIMS = os.environ.get("DF_SHARD_CLAIMS")


def module_of(item):
    return item.nodeid.split("::")[0]


def claimed(module):
    """True for the one process that comes first; making a folder is atomic."""
    try:
        pathlib.Path(CLAIMS, module.replace("/", "_")).mkdir(parents=True)
    except FileExistsError:
        return False
    return True


def shared_out(items):
    """The items of this process. Asks for the next module only when the one before is about to end."""
    groups = [(module, list(tests)) for module, tests in itertools.groupby(items, module_of)]
    last = [g for g in groups if pathlib.Path(g[0]).name.startswith("test_zz_")]
    for module, tests in sorted((g for g in groups if g not in last), key=lambda g: (not hasattr(tests_module(g), "SLOW"), -len(g[1]))):
        if claimed(module):
            yield from tests
    for _, tests in last:
        yield from tests


def tests_module(group):
    return group[1][0].module


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    if not CLAIMS or session.config.option.collectonly:
        return None
    if session.testsfailed:
        raise session.Interrupted(f"{session.testsfailed} errors during collection")
    stream = shared_out(session.items)
    item = next(stream, None)
    while item is not None:
        following = next(stream, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following
    return True
