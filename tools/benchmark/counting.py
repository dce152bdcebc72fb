"""What counting for SHOW, the API and /metrics costs the data path: the same load through this program and through one
that is built without counting (PG_EDGE_NO_COUNTING).

User-space instructions are exact, and the logins are taken out: what 12,000 queries execute less what 2,000 do. CPU
time is the kernel's own account of the process, user and system, in alternating rounds; its spread says how little a
busy machine's figures are worth. The part of counting in all CPU time is its part of the user-space instructions times
the user part of CPU time, both of which a busy machine leaves as they are."""

import statistics
import subprocess
from pathlib import Path

from counts import callgrind_command, instructions
from machine import Server, free_port
from poolers import Pooler, Setup, pg_edge_toml, version_of
from report import alternating
from workloads import load_generator

rows = [("SELECT 1 simple", "simple", 16), ("SELECT 1 extended", "extended", 16), ("SELECT 1 prepared", "prepared", 16)]
few, many = 2_000, 12_000
queries_a_round = 60_000


def without_counting(chosen):
    """The other program's folder; it is built if need be."""
    folder = f"{chosen.build_folder}-no-counting"
    root = Path(__file__).resolve().parent.parent.parent
    subprocess.run(["cmake", "-S", str(root), "-B", folder, "-G", "Ninja", "-DPG_EDGE_NO_COUNTING=ON",
                    "-DPG_EDGE_TESTS=OFF"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["nice", "cmake", "--build", folder, "--target", "pg_edge"], check=True, stdout=subprocess.DEVNULL)
    return folder


def program(name, folder):
    binary = f"{folder}/pg_edge"
    return Pooler(name, version_of([binary, "--version"]), pg_edge_toml, "toml", [binary, "--config"])


def run(chosen, folder, _rivals):
    pair = [program("with", chosen.build_folder), program("without", without_counting(chosen))]
    results = {}
    port = free_port()
    log = open(folder / "stub.log", "ab")
    with Server([f"{chosen.build_folder}/bench_server", str(port)], log, port):
        for name, kind, clients in rows:
            if chosen.only not in name:
                continue
            setup = Setup(folder, port, reactors=1)

            def load(at, count, kind=kind, clients=clients):
                load_generator(chosen.build_folder, "query", at, clients, 600, kind, count)

            figures = {one.name: {"instructions": executed(one, setup, folder, load)} for one in pair}
            rounds = {one.name: [] for one in pair}
            for one in alternating(chosen.rounds, pair):
                rounds[one.name].append(cpu_time(one, setup, load))
            for one in pair:
                figures[one.name]["rounds"] = rounds[one.name]
            results[name] = figures | judge(figures)
            show(name, results[name])
    return results


def executed(pooler, setup, folder, load):
    """User-space instructions of one query."""
    with pooler.start(setup, callgrind_command(folder)) as running:
        load(running.port, few)
        first = instructions(running, folder, lambda: load(running.port, few))
        second = instructions(running, folder, lambda: load(running.port, many))
        return (second - first) / (many - few)


def cpu_time(pooler, setup, load):
    """(user, system) microseconds of one query."""
    with pooler.start(setup) as running:
        load(running.port, few)
        before = running.cpu_seconds()
        load(running.port, queries_a_round)
        after = running.cpu_seconds()
    return tuple((b - a) * 1e6 / queries_a_round for a, b in zip(before, after))


def judge(figures):
    counted, bare = figures["with"], figures["without"]
    of_instructions = (counted["instructions"] - bare["instructions"]) / counted["instructions"]
    user_part = statistics.median(user / (user + system) for user, system in counted["rounds"])
    ratios = [sum(a) / sum(b) for a, b in zip(counted["rounds"], bare["rounds"])]
    return {"of_user_instructions": of_instructions, "user_part_of_cpu": user_part,
            "of_cpu_time": of_instructions * user_part,
            "cpu_ratio": {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}}


def show(name, figures):
    print(f"\n{name}\n  {'':12}{'instructions':>14}{'user us':>10}{'system us':>11}")
    for who in ("with", "without"):
        user, system = (statistics.median(one[i] for one in figures[who]["rounds"]) for i in (0, 1))
        print(f"  {who:12}{figures[who]['instructions']:>14,.0f}{user:>10.2f}{system:>11.2f}")
    ratio = figures["cpu_ratio"]
    print(f"  counting is {figures['of_user_instructions']:.2%} of the user-space instructions, which take "
          f"{figures['user_part_of_cpu']:.0%} of the CPU time: {figures['of_cpu_time']:.2%} of the CPU time\n"
          f"  CPU time with / without, measured: {ratio['median']:.3f} ({ratio['low']:.3f}-{ratio['high']:.3f})",
          flush=True)
