"""The rows of the table: what is asked of a pooler, and how one round of it is run and measured."""

import glob
import json
import os
import re
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from poolers import database, password, user

large_sql = "SELECT repeat('x', 10485760);\n"
pipeline_sql = "\\startpipeline\n" + "SELECT 1;\n" * 10 + "\\endpipeline\n"
select_1 = "SELECT 1;\n"


@dataclass
class Workload:
    name: str
    kind: str = "pgbench"  # or "copy_out", "copy_in"
    options: tuple = ()    # of pgbench
    script: str = ""       # of pgbench, instead of a built-in one
    clients: int = 16
    pool_size: int = 20
    queries: int = 1       # statements in one transaction of the script
    prepared: bool = False # by protocol: pgbouncer pools those from 1.21 on
    tls: bool = False
    server_tls: bool = False
    auth: str = "trust"


workloads = [
    Workload("select-only", options=("-S",)),
    Workload("select-only extended", options=("-S", "-M", "extended")),
    Workload("select-only prepared", options=("-S", "-M", "prepared"), prepared=True),
    Workload("select-only 128 clients", options=("-S",), clients=128),
    Workload("select-only 1000 clients", options=("-S",), clients=1000, pool_size=60),
    Workload("TPC-B", options=(), pool_size=10),
    Workload("TPC-B 128 clients", options=(), clients=128),
    Workload("SELECT 1", script=select_1),
    Workload("SELECT 1 extended", script=select_1, options=("-M", "extended")),
    Workload("SELECT 1 prepared", script=select_1, options=("-M", "prepared"), prepared=True),
    Workload("SELECT 1 TLS", script=select_1, tls=True),
    Workload("SELECT 1 TLS both sides", script=select_1, tls=True, server_tls=True),
    Workload("pipelines of 10", script=pipeline_sql, options=("-M", "extended"), queries=10),
    Workload("10 MB results", script=large_sql, clients=4, pool_size=10),
    Workload("COPY out", kind="copy_out", clients=4, pool_size=10),
    Workload("COPY in", kind="copy_in", clients=4, pool_size=10),
    Workload("connect, SELECT 1, leave", script=select_1, options=("-C",)),
    Workload("connect, SELECT 1, leave with SCRAM", script=select_1, options=("-C",), auth="scram-sha-256"),
    Workload("connect, SELECT 1, leave with SCRAM over TLS", script=select_1, options=("-C",), auth="scram-sha-256",
             tls=True),
]


def environment(workload):
    return {**os.environ, "PGUSER": user, "PGPASSWORD": password, "PGDATABASE": database, "PGHOST": "127.0.0.1",
            "PGSSLMODE": "require" if workload.tls else "disable", "PGGSSENCMODE": "disable"}


def percentile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))] if sorted_values else None


def pgbench(workload, port, seconds):
    """(transactions, seconds, latencies in microseconds)"""
    with tempfile.TemporaryDirectory() as folder:
        command = ["pgbench", "-p", str(port), "-n", "-c", str(workload.clients), "-j", "1", "-T", str(seconds), "-l",
                   "--log-prefix", f"{folder}/log", *workload.options]
        # Enough samples for the thousandth, without a disk full of lines.
        command += [] if workload.clients < 10 else ["--sampling-rate", "0.1"]
        if workload.script:
            script = Path(folder) / "script.sql"
            script.write_text(workload.script)
            command += ["-f", str(script)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(workload))
        failures = re.search(r"number of failed transactions: (\d+)", done.stdout)
        if done.returncode != 0 or (failures and int(failures[1]) > 0):
            raise SystemExit(f"pgbench failed ({workload.name}): {done.stdout[-500:]}{done.stderr[-1000:]}")
        count = int(re.search(r"number of transactions actually processed: (\d+)", done.stdout)[1])
        tps = float(re.search(r"^tps = ([\d.]+)", done.stdout, re.M)[1])
        times = []
        for log in glob.glob(f"{folder}/log*"):
            times += [int(line.split()[2]) for line in Path(log).read_text().splitlines()]
        return count, count / tps, times


def copies(workload, port, seconds):
    """COPY in psql processes, one after another in each of `clients` places; a transaction is one of 10 MB."""
    rows = 100_000
    if workload.kind == "copy_out":
        sql = f"COPY (SELECT repeat('x', 104) FROM generate_series(1, {rows})) TO STDOUT"
        feed = None
    else:
        sql = "CREATE TEMP TABLE t (line text) ON COMMIT DROP; COPY t FROM STDIN"
        feed = (b"x" * 104 + b"\n") * rows
    command = ["psql", "-qX", "-p", str(port), "-v", "ON_ERROR_STOP=1", "-1", "-c", sql]
    if workload.kind == "copy_in":
        command = ["psql", "-qX", "-p", str(port), "-v", "ON_ERROR_STOP=1", "-1"]
        for one in sql.split("; "):
            command += ["-c", one]
    times, start = [], time.monotonic()
    with tempfile.TemporaryFile() as data:
        data.write(feed or b"")
        while time.monotonic() - start < seconds:
            began, batch = time.monotonic(), []
            for _ in range(workload.clients):
                source = os.open(f"/proc/self/fd/{data.fileno()}", os.O_RDONLY)
                batch.append(subprocess.Popen(command, stdin=source, stdout=subprocess.DEVNULL,
                                              stderr=subprocess.PIPE, env=environment(workload)))
                os.close(source)
            for one in batch:
                error = one.communicate()[1]
                if one.returncode != 0:
                    raise SystemExit(f"psql failed ({workload.name}): {error.decode()[-500:]}")
                times.append((time.monotonic() - began) * 1e6)
    return len(times), time.monotonic() - start, times


def run_round(workload, pooler, seconds):
    """One round; figures of the pooler's own process when it has one."""
    own = hasattr(pooler, "cpu_seconds")
    before = (pooler.cpu_seconds(), pooler.context_switches()) if own else None
    runner = pgbench if workload.kind == "pgbench" else copies
    count, spent, times = runner(workload, pooler.port, seconds)
    times.sort()
    figures = {"tps": count / spent, "p50": percentile(times, 0.5), "p95": percentile(times, 0.95),
               "p99": percentile(times, 0.99), "p99.9": percentile(times, 0.999)}
    if own:
        (user_before, system_before), switches = before
        user_after, system_after = pooler.cpu_seconds()
        figures |= {"user_us": (user_after - user_before) / count * 1e6,
                    "system_us": (system_after - system_before) / count * 1e6,
                    "switches": (pooler.context_switches() - switches) / count}
        figures["cpu_us"] = figures["user_us"] + figures["system_us"]
    return figures


def system_calls_each(workload, pooler, seconds=2):
    """System calls a transaction, counted in a run of its own because counting slows it down."""
    if not hasattr(pooler, "count_system_calls") or workload.kind != "pgbench":
        return None
    result = {}
    thread = threading.Thread(target=lambda: result.update(run=pgbench(workload, pooler.port, seconds + 2)))
    thread.start()
    time.sleep(1)
    calls = pooler.count_system_calls(seconds)
    thread.join()
    count, spent, _ = result["run"]
    return None if calls is None else calls / (count / spent * seconds)


def load_generator(build, mode, port, count, *rest, name=database):
    """bench_load's figures."""
    done = subprocess.run([f"{build}/bench_load", mode, str(port), user, name, password, str(count),
                           *map(str, rest)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"bench_load {mode}: {done.stderr[-500:]}")
    return json.loads(done.stdout)
