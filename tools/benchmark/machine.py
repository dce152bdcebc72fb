"""Processes and what the kernel says about them: every server in a session of its own, figures from /proc."""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ticks_per_second = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def as_server_user(command):
    """Postgres and pgbouncer refuse to run as root; all servers run as the same user, so that none is favoured."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"] + command


def make_folder():
    """A folder of this run that the server user may write in."""
    folder = Path(tempfile.mkdtemp(prefix="pg_edge_bench."))
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
    folder.chmod(0o755)
    return folder


class Server:
    """A process in its own session: the kernel shares processor time by session. `core` pins it."""

    def __init__(self, command, log, port, core=None):
        pinned = ["taskset", "-c", str(core)] if core is not None else []
        self.port = port
        self.process = subprocess.Popen(as_server_user(pinned + command), stdin=subprocess.DEVNULL, stdout=log,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        self.await_port()

    def await_port(self):
        for _ in range(300):
            if self.process.poll() is not None:
                raise SystemExit(f"a server ended at once: {self.process.args}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"nobody listens on {self.port}: {self.process.args}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT if "postgres" in str(self.process.args) else signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # -- figures

    def cpu_seconds(self):
        """(user, system) of all its threads since it began."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) / ticks_per_second, int(fields[12]) / ticks_per_second

    def context_switches(self):
        count = 0
        for status in Path(f"/proc/{self.process.pid}/task").glob("*/status"):
            count += sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", status.read_text()))
        return count

    def resident_bytes(self):
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1]) * 1024

    def count_system_calls(self, seconds):
        """System calls within that time, or None where neither perf nor strace may look."""
        pid = str(self.process.pid)
        if shutil.which("perf"):
            done = subprocess.run(["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", pid, "--", "sleep",
                                   str(seconds)], capture_output=True, text=True, check=False)
            if match := re.search(r"^(\d+),,raw_syscalls:sys_enter", done.stderr, re.M):
                return int(match[1])
        if not shutil.which("strace"):
            return None
        tracer = subprocess.Popen(["strace", "-c", "-f", "-q", "-p", pid], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        time.sleep(seconds)
        tracer.send_signal(signal.SIGINT)
        text = tracer.communicate()[1]
        match = re.search(r"^100[.,]00\s+[\d.]+\s+(?:\d+\s+)?(\d+)(?:\s+\d+)? total", text, re.M)
        return int(match[1]) if match else None


def describe():
    """The machine, for whoever reads the figures later."""
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1])
    release = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text())
    return {"cores": os.cpu_count(), "processor": model[1] if model else "unknown",
            "memory_gb": round(memory / 1048576), "kernel": os.uname().release,
            "system": release[1] if release else "unknown", "load": os.getloadavg()[0]}
