"""What is compared: how each pooler is configured for the same work and started."""

import os
import subprocess
from pathlib import Path

from machine import Server, as_server_user, free_port

user, database, password = "bench", "bench", "bench"


class Setup:
    """One experiment's wishes, the same for every pooler."""

    def __init__(self, folder, server_port, *, pool_size=20, auth="trust", tls=False, server_tls=False, reactors=1,
                 databases=1, core=None):
        self.folder, self.server_port, self.pool_size, self.auth = folder, server_port, pool_size, auth
        self.server_tls = server_tls
        self.tls, self.reactors, self.databases, self.core = tls, reactors, databases, core

    def database_names(self):
        return [database] if self.databases == 1 else [f"bench{i}" for i in range(self.databases)]

    def load_database(self):
        """What bench_load is told: % becomes the number of the connection."""
        return database if self.databases == 1 else "bench%"


def server_mode(setup):
    return "require" if setup.server_tls else "disable"


def pg_edge_toml(setup, port):
    lines = ["[pg_edge]", 'listen_addr = "127.0.0.1"', f"listen_port = {port}", 'unix_socket_dir = ""',
             f"reactors = {setup.reactors}", 'pool_mode = "transaction"', "max_client_conn = 100000",
             f"default_pool_size = {setup.pool_size}", f'auth_type = "{setup.auth}"', "log_connections = false",
             "log_disconnections = false", "listen_backlog = 4096"]
    if setup.tls:
        lines += ['client_tls_sslmode = "allow"', f'client_tls_cert_file = "{setup.folder}/server.crt"',
                  f'client_tls_key_file = "{setup.folder}/server.key"']
    for name in setup.database_names():
        lines += [f"[databases.{name}]", 'host = "127.0.0.1"', f"port = {setup.server_port}",
                  f'dbname = "{database}"', f'server_tls_sslmode = "{server_mode(setup)}"']
    lines += [f"[users.{user}]", f'password = "{password}"']
    return "\n".join(lines) + "\n"


def pgbouncer_ini(setup, port):
    lines = ["[databases]"]
    lines += [f"{name} = host=127.0.0.1 port={setup.server_port} dbname={database}" for name in
              setup.database_names()]
    lines += ["[pgbouncer]", "listen_addr = 127.0.0.1", f"listen_port = {port}", "unix_socket_dir =",
              "pool_mode = transaction", "max_client_conn = 100000", f"default_pool_size = {setup.pool_size}",
              f"auth_type = {setup.auth}", f"auth_file = {setup.folder}/userlist.txt", "log_connections = 0",
              "log_disconnections = 0", "ignore_startup_parameters = extra_float_digits", "listen_backlog = 4096",
              "max_prepared_statements = 200" if newer_pgbouncer() else "",
              f"server_tls_sslmode = {server_mode(setup)}"]
    if setup.tls:
        lines += ["client_tls_sslmode = allow", f"client_tls_cert_file = {setup.folder}/server.crt",
                  f"client_tls_key_file = {setup.folder}/server.key"]
    return "\n".join(lines) + "\n"


def odyssey_conf(setup, port):
    routes = "".join(f'database "{name}" {{ user default {{ authentication "none" storage "pg" '
                     f'storage_db "{database}" pool "transaction" pool_size {setup.pool_size} }} }}\n'
                     for name in setup.database_names())
    return (f'daemonize no\nlog_session no\nlog_stats no\nworkers {setup.reactors}\n'
            f'listen {{ host "127.0.0.1" port {port} backlog 4096 tls "disable" }}\n'
            f'storage "pg" {{ type "remote" host "127.0.0.1" port {setup.server_port} }}\n{routes}')


def pgbouncer_path():
    return os.environ.get("PGBOUNCER", "/usr/sbin/pgbouncer")


def version_of(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().splitlines()[0] if done.stdout or done.stderr else "unknown"


def newer_pgbouncer():
    """Whether it can pool prepared statements."""
    text = version_of([pgbouncer_path(), "--version"])
    major, minor = (int(part) for part in text.split()[-1].split(".")[:2])
    return (major, minor) >= (1, 21)


class Pooler:
    """`make_config` gives the text of its file for a setup and a port; `command` starts it with that file."""

    def __init__(self, name, version, make_config, suffix, command):
        self.name, self.version, self.make_config = name, version, make_config
        self.suffix, self.command = suffix, command

    def start(self, setup, under=()):
        """`under`: a command that runs the pooler's, as valgrind does."""
        port = free_port()
        config = setup.folder / f"{self.name}.{self.suffix}"
        config.write_text(self.make_config(setup, port))
        (setup.folder / "userlist.txt").write_text(f'"{user}" "{password}"\n')
        log = open(setup.folder / f"{self.name}.log", "ab")
        return Server(["prlimit", "--nofile=20000:20000", "--", *under, *self.command, str(config)], log, port,
                      setup.core)


class Direct:
    """No pooler at all: the server itself."""

    name, version = "direct", ""

    def start(self, setup):
        return Borrowed(setup.server_port)


class Borrowed:
    def __init__(self, port):
        self.port = port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def known_poolers(build):
    binary = Path(build) / "pg_edge"
    found = [Pooler("pg_edge", version_of([str(binary), "--version"]), pg_edge_toml, "toml",
                    [str(binary), "--config"]),
             Pooler("pgbouncer", version_of([pgbouncer_path(), "--version"]), pgbouncer_ini, "ini",
                    [pgbouncer_path(), "-q"])]
    if "ODYSSEY" in os.environ:
        found.append(Pooler("odyssey", os.environ["ODYSSEY"], odyssey_conf, "conf", [os.environ["ODYSSEY"]]))
    return found


def make_certificate(folder):
    subprocess.run(as_server_user(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                                   "/CN=localhost", "-keyout", f"{folder}/server.key", "-out",
                                   f"{folder}/server.crt"]), check=True, capture_output=True)
