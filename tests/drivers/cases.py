"""Runs the cases of a driver's script one by one: "ok NAME" or "FAIL NAME: why" a line."""

import asyncio
import inspect
import os
import sys
import traceback

mode = os.environ.get("POOL_MODE", "direct")
cases = []
case_limit = 60  # seconds


def case(function):
    cases.append(function)
    return function


def check(got, wanted):
    if got != wanted:
        raise AssertionError(f"got {str(got)[:300]!r}, wanted {str(wanted)[:300]!r}")


def run():
    failed = 0
    for function in cases:
        try:
            if inspect.iscoroutinefunction(function):
                asyncio.run(asyncio.wait_for(function(), case_limit))
            else:
                function()
            print("ok", function.__name__, flush=True)
        except BaseException as failure:  # a cancelled case must not end the others
            failed += 1
            print(f"FAIL {function.__name__}: {type(failure).__name__}: {failure}", flush=True)
            traceback.print_exc()
    sys.exit(1 if failed else 0)
