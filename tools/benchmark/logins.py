"""Logins a second: connect, authenticate, leave. The generator keeps its keys, so that the pooler's derivations and
handshakes are what is measured."""

from machine import Server, free_port
from poolers import Setup
from report import alternating, show
from workloads import load_generator

rows = [("logins with trust", "trust", "plain"), ("logins with SCRAM", "scram-sha-256", "plain"),
        ("logins with SCRAM over TLS", "scram-sha-256", "tls")]
threads = 16


def run(chosen, folder, rivals):
    results = {}
    port = free_port()
    log = open(folder / "stub.log", "ab")
    with Server([f"{chosen.build_folder}/bench_server", str(port)], log, port):
        for name, auth, how in rows:
            if chosen.only not in name:
                continue
            setup = Setup(folder, port, auth=auth, tls=how == "tls", reactors=chosen.reactors)
            measured = {}
            able = [one for one in rivals if one.name != "odyssey" or auth == "trust"]
            for pooler in alternating(chosen.rounds, able):
                with pooler.start(setup) as running:
                    measured.setdefault(pooler.name, []).append(one_round(chosen, running, how))
            results[name] = show(name, rivals, measured)
    return results


def one_round(chosen, pooler, how):
    load_generator(chosen.build_folder, "connect", pooler.port, 1, 0.1, how)
    before = pooler.cpu_seconds()
    figures = load_generator(chosen.build_folder, "connect", pooler.port, threads, chosen.seconds, how)
    after = pooler.cpu_seconds()
    if figures["failed"]:
        raise SystemExit(f"{figures['failed']} logins failed")
    used = [(b - a) / figures["logins"] * 1e6 for a, b in zip(before, after)]
    return {"tps": figures["logins"] / figures["seconds"], "user_us": used[0], "system_us": used[1],
            "cpu_us": sum(used)}
