"""What the scripts of this folder start: a private Postgres and nodes of pg_edge, all ended with the object that
started them; and the Node.js packages."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

here = Path(__file__).resolve().parent
root = here.parent.parent
packages = root / "build" / "drivers"
start_limit = 60  # seconds


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def postgres_bin():
    given = os.environ.get("PG_EDGE_POSTGRES_BIN")
    if given:
        return Path(given)
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        sys.exit("tests/drivers: no Postgres in /usr/lib/postgresql")
    return found[-1].parent


def wait_for(what, child, log, ready):
    end = time.monotonic() + start_limit
    while time.monotonic() < end:
        if child.poll() is not None:
            break
        if ready():
            return
        time.sleep(0.05)
    sys.exit(f"tests/drivers: {what} does not start:\n{log.read_text()}")


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class processes:
    """Children with their logs in one folder; leaving the block ends them, the last one first."""

    def __init__(self, folder):
        self.folder = folder
        self.children = []
        self.identity = {}
        if os.geteuid() == 0:  # which Postgres refuses
            who = pwd.getpwnam("postgres")
            self.identity = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}

    def __enter__(self):
        try:
            self.start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
        for child in reversed(self.children):
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def for_postgres(self, path):
        """Gives a file or folder to the user Postgres runs as."""
        if self.identity:
            os.chown(path, self.identity["user"], self.identity["group"])

    def start_postgres(self, port, prepare=lambda data: None, **more):
        """`prepare` may write into the data folder before the start; `more` are settings."""
        data = self.folder / "postgres"
        data.mkdir()
        self.for_postgres(data)
        programs = postgres_bin()
        subprocess.run([programs / "initdb", "-D", data, "-U", "driver", "-A", "trust", "-E", "UTF8", "--no-sync",
                        "--no-locale"], check=True, stdout=subprocess.DEVNULL, cwd="/", **self.identity)
        prepare(data)
        log = self.folder / "postgres.log"
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": data, "fsync": "off",
                    "max_connections": 100} | more
        argv = [programs / "postgres", "-D", data]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        self.start("Postgres", argv, log, self.identity,
                   lambda: "database system is ready to accept connections" in log.read_text())

    def start_node(self, name, text, ports):
        """A node with this configuration, which listens on all the ports when this returns."""
        binary = os.environ.get("PG_EDGE_BINARY", str(root / "build" / "pg_edge"))
        config = self.folder / f"{name}.toml"
        config.write_text(text)
        self.start("pg_edge", [binary, "--config", config], self.folder / f"{name}.log", {},
                   lambda: all(accepts(port) for port in ports))

    def start(self, name, argv, log, identity, ready):
        with open(log, "wb") as sink:
            child = subprocess.Popen(argv, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL, cwd="/", **identity)
        self.children.append(child)
        wait_for(name, child, log, ready)


def install_packages():
    """npm ci takes seconds, so only when what is wanted has changed."""
    wanted = (here / "package-lock.json").read_bytes()
    mark = packages / "installed-by-this-lock.json"
    if mark.exists() and mark.read_bytes() == wanted:
        return
    packages.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(here / name, packages / name)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=packages, check=True)
    mark.write_bytes(wanted)
