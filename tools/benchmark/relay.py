"""What it costs a client that its pool lives on another node: two nodes of a cluster on this machine, the pools on the
second, the load on the second (local) or on the first (relayed), in alternating rounds, with plain links and with
mutual TLS. `home_us` and `edge_us` are the CPU time a query of the node that has the pool and of the one that has the
client; where machines are apart, the greater of the two limits the throughput, not their sum."""

import os
import subprocess
import tempfile
from pathlib import Path

from machine import Server, free_port
from poolers import Setup, pg_edge_toml
from report import alternating, ratio_text, ratios, summary
from workloads import load_generator

# name, protocol, clients, bytes of the row that is answered
rows = [("SELECT 1 simple 1 client", "simple", 1, 1), ("SELECT 1 simple", "simple", 16, 1),
        ("SELECT 1 extended", "extended", 16, 1), ("SELECT 1 prepared", "prepared", 16, 1),
        ("SELECT 1 simple 128 clients", "simple", 128, 1), ("rows of 1 MB", "simple", 4, 1048576)]
figures = [("tps", "queries/s", 0), ("p50", "p50 us", 1), ("p99", "p99 us", 1), ("home_us", "home CPU us", 1),
           ("edge_us", "edge CPU us", 1)]


class Nodes:
    """Node 1 has the clients that are relayed, node 2 has the pools."""

    def __init__(self, chosen, folder, stub, tls):
        self.folder = Path(tempfile.mkdtemp(prefix="relay.", dir=folder))
        self.folder.chmod(0o755)
        (self.folder / "home").write_text("2")
        if tls:
            make_certificates(self.folder)
        links = [free_port(), free_port()]
        log = open(folder / "relay.log", "ab")
        self.nodes = []
        for number in (2, 1):
            port = free_port()
            config = self.folder / f"node{number}.toml"
            config.write_text(pg_edge_toml(Setup(folder, stub, reactors=chosen.reactors), port))
            peers = [f"{i + 1}={link}" for i, link in enumerate(links)]
            command = [f"{chosen.build_folder}/tests/relay_node", "--config", str(config), str(number),
                       str(links[number - 1]), str(self.folder / "home"), *([f"tls={self.folder}"] if tls else []),
                       *peers]
            self.nodes.append(Server(command, log, port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in self.nodes:
            one.stop()


def make_certificates(folder):
    """An authority and one certificate that both nodes show."""
    run = lambda *words: subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=bench", "-days", "2")
    run("req", *new, "-keyout", "node.key", "-out", "node.csr", "-subj", "/CN=node")
    run("x509", "-req", "-in", "node.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "node.crt",
        "-days", "2")
    os.chmod(folder / "node.key", 0o644) # of this run only; the nodes run as another user


def run(chosen, folder, _rivals):
    results = {}
    log = open(folder / "stub.log", "ab")
    for name, kind, clients, row_bytes in rows:
        if chosen.only not in name:
            continue
        port = free_port()
        with Server([f"{chosen.build_folder}/bench_server", str(port), str(row_bytes)], log, port), \
                Nodes(chosen, folder, port, False) as plain, Nodes(chosen, folder, port, True) as guarded:
            measured = {}
            ways = [("local", plain, 0), ("relayed", plain, 1), ("over TLS", guarded, 1)]
            for who, nodes, entry in alternating(chosen.rounds, ways):
                measured.setdefault(who, []).append(one_round(chosen, nodes, entry, kind, clients))
            results[name] = show(name, measured)
    return results


def one_round(chosen, nodes, entry, kind, clients):
    port = nodes.nodes[entry].port
    load_generator(chosen.build_folder, "query", port, clients, 0.3, kind)
    before = [sum(one.cpu_seconds()) for one in nodes.nodes]
    result = load_generator(chosen.build_folder, "query", port, clients, chosen.seconds, kind)
    home, edge = (sum(one.cpu_seconds()) - was for one, was in zip(nodes.nodes, before))
    count = result["queries"]
    return {"tps": count / result["seconds"], "p50": result["p50"], "p99": result["p99"], "home_us": home / count * 1e6,
            "edge_us": edge / count * 1e6 if entry == 1 else None}


def show(name, measured):
    print(f"\n{name}")
    print(f"  {'':12}" + "".join(f"{title:>20}" for _, title, _ in figures))
    for who, rounds in measured.items():
        found = summary(rounds)
        print(f"  {who:12}" + "".join(f"{found[key]['median']:>20,.{digits}f}" if key in found else f"{'-':>20}"
                                      for key, _, digits in figures))
        if who != "local":
            against = ratios(rounds, measured["local"])
            print(f"  {'/ local':12}" + "".join(f"{ratio_text(against.get(key)):>20}" for key, _, _ in figures),
                  flush=True)
    return {who: summary(rounds) | {"rounds": rounds} for who, rounds in measured.items()}
