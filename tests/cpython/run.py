"""Runs one module of CPython's test suite; `job.json` in the working folder says which.

It prints a line of JSON for every test: one when it begins, so that whoever reads them knows where a crash was, and one with the outcome.
"""

import importlib
import json
import os
import re
import shutil
import sys
import sysconfig
import types
import unittest

from everstep import _absent, _loop

sys.path.append("/lib")
os.chdir("/tmp")
with open("job.json") as file:
    JOB = json.load(file)
# What this build of Python says about itself cannot be split into words, and `test.support` splits it.
sysconfig.get_config_vars()["CONFIG_ARGS"] = ""
# Tests are skipped where a module is missing, and would fail with one that stands in for it.
sys.meta_path.remove(_absent.Finder)
OUT = sys.stdout
# Tests import modules afresh; the component keeps no sources, so those of the same version lie in /lib.
for module in list(sys.modules.values()):
    if module.__name__.split(".")[0] in sys.stdlib_module_names and "__path__" in vars(module):
        module.__path__.append("/lib/" + module.__name__.replace(".", "/"))


def tell(**record):
    OUT.write("@" + json.dumps(record) + "\n")
    OUT.flush()


def ident(test):
    """As `test_int.IntTestCases.test_basic`."""
    return test.id().removeprefix("test.")


def clear(before):
    """Removes what a test that failed has left, so that the next one does not fail on it; `before` is what was there when it began."""
    for name in set(os.listdir("/tmp")).difference(before):
        if name.startswith("@test_"):
            path = "/tmp/" + name
            shutil.rmtree(path, ignore_errors=True) if os.path.isdir(path) else os.remove(path)


class Result(unittest.TestResult):
    """Tells the outcome of every test as soon as it is known."""

    def __init__(self):
        super().__init__()
        self.outcome, self.before = None, ()

    def startTest(self, test):
        super().startTest(test)
        self.outcome, self.before = None, os.listdir("/tmp")
        tell(start=ident(test))

    def stopTest(self, test):
        super().stopTest(test)
        outcome, reason = self.outcome or ("passed", "")
        tell(id=ident(test), outcome=outcome, reason=reason)
        if outcome in ("failed", "error"):
            clear(self.before)

    def _found(self, test, outcome, reason):
        if self._testRunEntered and isinstance(test, unittest.suite._ErrorHolder):
            # `setUpClass` and `setUpModule` begin no test.
            tell(id=ident(test), outcome=outcome, reason=reason)
        elif self.outcome is None or self.outcome[0] == "skipped":
            self.outcome = outcome, reason

    def _wrong(self, test, outcome, error):
        lines = str(error[1]).strip().splitlines() or [""]
        self._found(test, outcome, f"{error[0].__qualname__}: {lines[0] if error[0] is not AssertionError else ' '.join(lines)}"[:300])
        if JOB.get("verbose"):
            OUT.write(self._exc_info_to_string(error, test))

    def addError(self, test, error):
        self._wrong(test, "error", error)

    def addFailure(self, test, error):
        self._wrong(test, "failed", error)

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self._wrong(test, "failed" if issubclass(error[0], test.failureException) else "error", error)

    def addSkip(self, test, reason):
        self._found(test, "skipped", reason)

    def addUnexpectedSuccess(self, test):
        self._found(test, "failed", "unexpected success")


def wanted(suite, only):
    """The tests of a suite without those that are left out, and without those of faults in memory, which it tells."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from wanted(test, only)
        elif only and ident(test) not in only:
            pass
        elif any(re.search(fault, ident(test)) for fault in JOB["faults"]):
            tell(fault=ident(test))
        elif not any(ident(test) == one or ident(test).startswith(one + ".") for one in JOB["left_out"]):
            yield test


def main():
    from test import support

    support.use_resources = {}
    support.verbose = 0
    for feature in JOB["assumed"]:
        # A test that needs no socket or process is skipped with its module otherwise.
        setattr(support, feature, True)
    for missing in JOB["stubs"]:
        sys.modules[missing] = types.ModuleType(missing)
    name = "test." + JOB["module"]
    try:
        module = importlib.import_module(name)
    except unittest.SkipTest as reason:
        return tell(id=JOB["module"], outcome="skipped", reason=str(reason))
    tests = unittest.TestSuite(wanted(unittest.defaultTestLoader.loadTestsFromModule(module), JOB.get("only")))
    tests.run(Result())
    tell(end=True)


with _loop.outside():
    main()
