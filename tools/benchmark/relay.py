"""What it costs a client that its pool lives on another node: a cluster of two nodes with one etcd on this machine, a
pool that lives on one of them, the load on that one (local) or on the other (relayed), in alternating rounds, with
plain links and with mutual TLS. `home_us` and `edge_us` are the CPU time a query of the node that has the pool and of
the one that has the client; where machines are apart, the greater of the two limits the throughput, not their sum."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from machine import Server, free_port
from poolers import Setup, database, pg_edge_toml, user
from report import alternating, ratio_text, ratios, summary
from workloads import load_generator

pool_size = 7 # the largest that lives on one of two nodes

# name, protocol, clients, bytes of the row that is answered
rows = [("SELECT 1 simple 1 client", "simple", 1, 1), ("SELECT 1 simple", "simple", 16, 1),
        ("SELECT 1 extended", "extended", 16, 1), ("SELECT 1 prepared", "prepared", 16, 1),
        ("SELECT 1 simple 128 clients", "simple", 128, 1), ("rows of 1 MB", "simple", 4, 1048576)]
figures = [("tps", "queries/s", 0), ("p50", "p50 us", 1), ("p99", "p99 us", 1), ("home_us", "home CPU us", 1),
           ("edge_us", "edge CPU us", 1)]


class Nodes:
    """The first has the pool, the second the clients that are relayed."""

    def __init__(self, chosen, folder, stub, tls):
        self.folder = Path(tempfile.mkdtemp(prefix="relay.", dir=folder))
        self.folder.chmod(0o777)
        if tls:
            make_certificates(self.folder)
        self.servers = []
        try:
            self.start(chosen, folder, stub, tls)
        except BaseException:
            self.stop()
            raise

    def start(self, chosen, folder, stub, tls):
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self.servers.append(Server(["etcd", "--data-dir", str(self.folder / "etcd"), "--listen-client-urls", client,
                                    "--advertise-client-urls", client, "--listen-peer-urls", peer,
                                    "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"],
                                   open(self.folder / "etcd.log", "ab"), int(client.rsplit(":", 1)[1])))
        logs = []
        for name in ("n0", "n1"):
            port = free_port()
            config = self.folder / f"{name}.toml"
            setup = Setup(folder, stub, reactors=chosen.reactors, pool_size=pool_size)
            # A machine that is busy with load on all cores may stand still for a while.
            cluster = ["[cluster]", 'name = "bench"', f'node = "{name}"', f'listen = "127.0.0.1:{free_port()}"',
                       f'link_listen = "127.0.0.1:{free_port()}"', f'store = ["{client}"]', "failure_timeout = 15"]
            if tls:
                cluster += [f'{key} = "{self.folder}/{file}"' for key, file in
                            (("certificate", "node.crt"), ("key", "node.key"), ("ca", "ca.crt"))]
            config.write_text(pg_edge_toml(setup, port) + "\n".join(cluster) + "\n")
            logs.append(self.folder / f"{name}.log")
            self.servers.append(Server([f"{chosen.build_folder}/pg_edge", "--config", str(config)],
                                       open(logs[-1], "ab"), port))
        self.nodes = self.servers[1:]
        await_true(lambda: all(sees_both(log.read_text()) for log in logs), "the nodes do not find each other")
        subprocess.run(["psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(self.nodes[0].port), "-U", user, "-d",
                        database, "-c", "select 1"], check=True, stdout=subprocess.DEVNULL)
        if "event=server_connected" not in logs[0].read_text():
            self.nodes.reverse()

    def stop(self):
        for one in reversed(self.servers):
            one.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def sees_both(log):
    views = re.findall(r'event=cluster_view .*members="?([^"\s]*)', log)
    return bool(views) and set(views[-1].split(",")) == {"n0", "n1"}


def await_true(condition, otherwise):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise SystemExit(otherwise)


def make_certificates(folder):
    """An authority and one certificate that both nodes show."""
    run = lambda *words: subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=bench", "-days", "2")
    run("req", *new, "-keyout", "node.key", "-out", "node.csr", "-subj", "/CN=node")
    run("x509", "-req", "-in", "node.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "node.crt",
        "-days", "2")
    if os.geteuid() == 0:
        shutil.chown(folder / "node.key", "postgres", "postgres") # as whom the nodes run


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
