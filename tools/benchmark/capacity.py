"""How much one core of a pooler can carry: the pooler pinned to core 0, the load generator and a stub server on the
others, so that the pooler is what is short."""

import os

from machine import Server, free_port
from poolers import Setup, newer_pgbouncer
from report import alternating, show
from workloads import load_generator

# name, protocol, clients, databases
rows = [("SELECT 1 simple", "simple", 16, 1), ("SELECT 1 extended", "extended", 16, 1),
        ("SELECT 1 prepared", "prepared", 16, 1), ("SELECT 1 simple 128 clients", "simple", 128, 1),
        ("SELECT 1 simple 1000 clients", "simple", 1000, 1), ("SELECT 1 simple 10000 clients", "simple", 10000, 1),
        ("SELECT 1 simple 1000 databases", "simple", 1000, 1000)]


def run(chosen, folder, rivals):
    results = {}
    port = free_port()
    log = open(folder / "stub.log", "ab")
    with Server([f"{chosen.build_folder}/bench_server", str(port)], log, port, core=other_cores()):
        for name, kind, clients, databases in rows:
            if chosen.only not in name:
                continue
            pool_size = 2 if databases > 1 else 20 if clients < 1000 else 60
            measured = measure(chosen, Setup(folder, port, pool_size=pool_size, core=0, databases=databases), rivals,
                               kind, clients)
            results[name] = show(name, rivals, measured)
    return results


def other_cores():
    return f"1-{os.cpu_count() - 1}" if os.cpu_count() > 2 else "1"


def measure(chosen, setup, rivals, kind, clients):
    measured = {}
    able = [one for one in rivals if not (kind == "prepared" and one.name == "pgbouncer" and not newer_pgbouncer())]
    for pooler in alternating(chosen.rounds, able):
        with pooler.start(setup) as running:
            measured.setdefault(pooler.name, []).append(
                one_round(chosen, running, kind, clients, setup.load_database()))
    return measured


def one_round(chosen, pooler, kind, clients, name):
    os.sched_setaffinity(0, set(range(1, os.cpu_count())))  # inherited by the load generator
    try:
        load_generator(chosen.build_folder, "query", pooler.port, clients, 0.3, kind, name=name)  # warms the pool
        before, switches = pooler.cpu_seconds(), pooler.context_switches()
        figures = load_generator(chosen.build_folder, "query", pooler.port, clients, chosen.seconds, kind, name=name)
        after = pooler.cpu_seconds()
    finally:
        os.sched_setaffinity(0, set(range(os.cpu_count())))
    count = figures["queries"]
    used = [(b - a) / count * 1e6 for a, b in zip(before, after)]
    return {"tps": count / figures["seconds"], "user_us": used[0], "system_us": used[1], "cpu_us": sum(used),
            "busy": sum(b - a for a, b in zip(before, after)) / figures["seconds"],
            "switches": (pooler.context_switches() - switches) / count,
            **{key: figures[key] for key in ("p50", "p95", "p99", "p99.9")}}
