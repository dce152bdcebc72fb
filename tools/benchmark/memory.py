"""What an idle client costs: resident bytes of the pooler before and after a crowd has logged in, divided by it."""

import json
import subprocess
import time

from machine import Server, free_port
from poolers import Setup, database, password, user

rows = [("idle plain clients", "plain"), ("idle TLS clients", "tls")]


def run(chosen, folder, rivals):
    results = {}
    port = free_port()
    log = open(folder / "stub.log", "ab")
    with Server([f"{chosen.build_folder}/bench_server", str(port)], log, port):
        for name, how in rows:
            if chosen.only not in name:
                continue
            print(f"\n{name} ({chosen.idle})")
            results[name] = {}
            for pooler in rivals:
                if pooler.name == "odyssey" and how == "tls":
                    continue
                setup = Setup(folder, port, tls=how == "tls", reactors=chosen.reactors)
                with pooler.start(setup) as running:
                    figures = hold(chosen, running, how)
                results[name][pooler.name] = figures
                print(f"  {pooler.name:12}{figures['bytes_each']:12,.0f} bytes each, {figures['held']} held; "
                      f"{figures['kept']:,.0f} bytes kept of each after they left", flush=True)
    return results


def hold(chosen, pooler, how):
    crowd_of(chosen, pooler, 50, how).leave()  # what the first clients cost is not the crowd's
    time.sleep(0.5)
    before = pooler.resident_bytes()
    crowd = crowd_of(chosen, pooler, chosen.idle, how)
    time.sleep(2)
    during = pooler.resident_bytes()
    crowd.leave()
    time.sleep(3)
    return {"held": crowd.held, "bytes_each": (during - before) / crowd.held,
            "kept": (pooler.resident_bytes() - before) / crowd.held}


class crowd_of:
    def __init__(self, chosen, pooler, count, how):
        self.process = subprocess.Popen(["prlimit", "--nofile=20000:20000", "--", f"{chosen.build_folder}/bench_load",
                                         "idle", str(pooler.port), user, database, password, str(count), how],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.held = json.loads(self.process.stdout.readline())["held"]

    def leave(self):
        self.process.stdin.close()
        self.process.wait()
