"""What a transaction and a login cost in things that can be counted, which a busy machine does not change: user-space
instructions (callgrind), system calls by name (strace) and context switches, of a fixed number of them."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from machine import Server, free_port
from poolers import Setup, newer_pgbouncer
from workloads import load_generator

rows = [("SELECT 1 simple", "query", "simple", 16), ("SELECT 1 extended", "query", "extended", 16),
        ("SELECT 1 prepared", "query", "prepared", 16), ("SELECT 1 simple 128 clients", "query", "simple", 128),
        ("logins with trust", "connect", "plain", 4), ("logins with SCRAM", "connect", "plain", 4)]
queries, logins = 10_000, 500
warm_up = 1_000


def run(chosen, folder, rivals):
    results = {}
    port = free_port()
    log = open(folder / "stub.log", "ab")
    with Server([f"{chosen.build_folder}/bench_server", str(port)], log, port):
        for row in rows:
            if chosen.only not in row[0]:
                continue
            results[row[0]] = {}
            print(f"\n{row[0]}\n  {'':12}{'instructions':>14}{'system calls':>14}{'switches':>10}  which")
            for pooler in rivals:
                if row[2] == "prepared" and pooler.name == "pgbouncer" and not newer_pgbouncer():
                    continue
                figures = measure(chosen, folder, port, pooler, row)
                results[row[0]][pooler.name] = figures
                show(pooler.name, figures)
    return results


def show(name, figures):
    by_name = sorted(figures["calls_by_name"].items(), key=lambda one: -one[1])
    which = ", ".join(f"{call} {count:.2f}" for call, count in by_name if count >= 0.01)
    instructions = figures["instructions"]
    print(f"  {name:12}{'-' if instructions is None else f'{instructions:,.0f}':>14}"
          f"{figures['calls']:>14.2f}{figures['switches']:>10.2f}  {which}", flush=True)


def measure(chosen, folder, port, pooler, row):
    name, mode, kind, clients = row
    count = queries if mode == "query" else logins
    auth = "scram-sha-256" if "SCRAM" in name else "trust"
    setup = Setup(folder, port, auth=auth, reactors=1)

    def load(at, how_many):
        load_generator(chosen.build_folder, mode, at, clients, 600, kind, how_many)

    figures = {"instructions": None}
    if shutil.which("valgrind"):
        with pooler.start(setup, callgrind_command(folder)) as running:
            load(running.port, warm_up if mode == "query" else 50)
            figures["instructions"] = instructions(running, folder, lambda: load(running.port, count)) / count
    with pooler.start(setup) as running:
        load(running.port, warm_up if mode == "query" else 50)
        before = running.context_switches()
        load(running.port, count)
        figures["switches"] = (running.context_switches() - before) / count
        calls = system_calls(running, folder, lambda: load(running.port, count))
    figures["calls_by_name"] = {call: times / count for call, times in calls.items()}
    figures["calls"] = sum(figures["calls_by_name"].values())
    if mode == "query":  # those of its clients' logins are counted along: told apart by a second, longer run
        figures["with_logins_of"] = clients
    return figures


def callgrind_command(folder):
    return ["valgrind", "--tool=callgrind", "-q", f"--callgrind-out-file={folder}/callgrind.%p"]


def process_under(server):
    """The pooler itself: the server's process, which taskset, prlimit and setpriv have become."""
    return server.process.pid


def instructions(server, folder, work):
    """Instructions in user space that all its threads execute meanwhile."""
    pid = process_under(server)
    control(pid, "--zero")
    work()
    control(pid, "--dump")
    parts = sorted(Path(folder).glob(f"callgrind.{pid}.*"), key=lambda path: int(path.suffix[1:]))
    match = re.search(r"^(?:totals|summary): (\d+)", parts[-1].read_text(errors="replace"), re.M)
    return int(match[1])


def control(pid, what):
    from machine import as_server_user
    done = subprocess.run(as_server_user(["callgrind_control", what, str(pid)]), capture_output=True, text=True,
                          check=False)
    if done.returncode != 0 or "Error" in done.stdout + done.stderr:
        raise SystemExit(f"callgrind_control: {done.stdout}{done.stderr}")


def system_calls(server, folder, work):
    """{name: times} of all its threads meanwhile."""
    if not shutil.which("strace"):
        return {}
    out = folder / "strace"
    tracer = subprocess.Popen(["strace", "-c", "-f", "-q", "-o", str(out), "-p", str(process_under(server))],
                              stderr=subprocess.DEVNULL)
    time.sleep(1)
    work()
    time.sleep(0.2)
    tracer.send_signal(signal.SIGINT)
    tracer.wait()
    lines = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", out.read_text(), re.M)
    os.unlink(out)
    return {name: int(times) for times, name in lines if name != "total"}
