"""pgbench through each pooler to one real Postgres. On two cores pgbench and Postgres take most of the processor, so
throughput moves little; the pooler's own CPU a transaction is the sharper figure."""

from contextlib import ExitStack

from poolers import Direct, Setup, newer_pgbouncer
from postgres import Postgres
from report import alternating, show
from workloads import run_round, system_calls_each, workloads


def run(chosen, folder, rivals):
    results = {}
    rivals = list(rivals) + ([Direct()] if chosen.direct else [])
    with Postgres(folder, 10, 300) as postgres:
        for workload in workloads:
            if chosen.only not in workload.name:
                continue
            measured = measure(chosen, folder, rivals, postgres, workload)
            results[workload.name] = show(workload.name, rivals, measured)
    return results


def able(pooler, workload):
    return not (workload.prepared and pooler.name == "pgbouncer" and not newer_pgbouncer()) and not (
        workload.tls and pooler.name in ("odyssey", "direct"))


def measure(chosen, folder, rivals, postgres, workload):
    setup = Setup(folder, postgres.port, pool_size=workload.pool_size, auth=workload.auth, tls=workload.tls,
                  server_tls=workload.server_tls, reactors=chosen.reactors)
    measured = {}
    with ExitStack() as running:
        started = [(one.name, running.enter_context(one.start(setup))) for one in rivals if able(one, workload)]
        for name, pooler in alternating(chosen.rounds, started):
            measured.setdefault(name, []).append(run_round(workload, pooler, max(1, round(chosen.seconds))))
        for name, pooler in started:
            measured[name][0]["calls"] = system_calls_each(workload, pooler)
    return measured
