"""Where the pooler's user-space instructions go: callgrind's figures of a fixed number of queries, by function."""

import collections
import re
import subprocess
from pathlib import Path

from counts import callgrind_command, control, queries, warm_up
from machine import Server, free_port
from poolers import Setup
from workloads import load_generator


def run(chosen, folder, rivals, target):
    """Writes `target`: instructions a query of each function itself, and how often it is called."""
    port = free_port()
    log = open(folder / "stub.log", "ab")
    lines = []
    with Server([f"{chosen.build_folder}/bench_server", str(port)], log, port):
        for kind in ("simple", "extended"):
            pooler = next(one for one in rivals if one.name == "pg_edge")
            with pooler.start(Setup(folder, port, reactors=1), callgrind_command(folder)) as running:
                load_generator(chosen.build_folder, "query", running.port, 16, 600, kind, warm_up)
                control(running.process.pid, "--zero")
                load_generator(chosen.build_folder, "query", running.port, 16, 600, kind, queries)
                control(running.process.pid, "--dump")
                parts = sorted(folder.glob(f"callgrind.{running.process.pid}.*"), key=lambda one: int(one.suffix[1:]))
                lines += [f"SELECT 1 {kind}: instructions a query, calls a query, function", *table(parts[-1]), ""]
    Path(target).write_text("\n".join(lines))
    print("\n".join(lines[:30]))


def table(profile):
    names, own, calls = {}, collections.Counter(), collections.Counter()
    present = callee = None
    of_a_call = False
    for line in profile.read_text(errors="replace").splitlines():
        if match := re.match(r"(c?)fn=\((\d+)\)(?: (.*))?$", line):
            if match[3]:
                names[match[2]] = match[3]
            if match[1]:
                callee = match[2]
            else:
                present = match[2]
        elif line.startswith("calls="):
            calls[callee] += int(line[6:].split()[0])
            of_a_call = True
        elif line[:1] in tuple("0123456789+-*"):
            if not of_a_call and len(line.split()) > 1:
                own[present] += int(line.split()[1])
            of_a_call = False
    demangled = subprocess.run(["c++filt"], input="\n".join(names[one] for one, _ in own.most_common(80)),
                               capture_output=True, text=True, check=True).stdout.splitlines()
    return [f"{count / queries:9.1f} {calls[one] / queries:7.2f}  {name}"
            for (one, count), name in zip(own.most_common(80), demangled)]
