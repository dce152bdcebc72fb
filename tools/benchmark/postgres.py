"""The Postgres behind the poolers: a private one with pgbench's tables."""

import os
import subprocess
from pathlib import Path

from machine import Server, as_server_user, free_port
from poolers import database, user


def newest_bin():
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))


class Postgres:
    def __init__(self, folder, scale, connections):
        self.folder, self.port = folder, free_port()
        tools = newest_bin()
        data = folder / "data"
        subprocess.run(as_server_user([str(tools / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust",
                                       "--no-sync"]), check=True, capture_output=True)
        with open(data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write(f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n"
                       f"max_connections = {connections}\nshared_buffers = 256MB\nfsync = off\n"
                       "synchronous_commit = off\nautovacuum = off\nmax_wal_size = 4GB\n"
                       f"ssl = on\nssl_cert_file = '{folder}/server.crt'\nssl_key_file = '{folder}/server.key'\n")
        log = open(folder / "postgres.log", "ab")
        self.server = Server([str(tools / "postgres"), "-D", str(data)], log, self.port)
        self.psql("postgres", f"CREATE ROLE {user} SUPERUSER LOGIN PASSWORD '{user}'")
        self.psql("postgres", f"CREATE DATABASE {database} OWNER {user}")
        subprocess.run(["pgbench", "-h", "127.0.0.1", "-p", str(self.port), "-U", user, "-i", "-q", "-s", str(scale),
                        database], check=True, capture_output=True, env={**os.environ, "PGSSLMODE": "disable"})

    def psql(self, where, sql):
        for _ in range(50):
            done = subprocess.run(["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", where,
                                   "-Atqc", sql], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return done.stdout.strip()
            if "starting up" not in done.stderr:
                break
        raise SystemExit(f"psql: {done.stderr}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()
