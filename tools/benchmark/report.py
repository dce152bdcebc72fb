"""Rounds into medians, ratios and their spread; the table people read and the JSON programs read."""

import json
import statistics

shown = [("tps", "transactions/s", 0), ("p50", "p50 us", 0), ("p99", "p99 us", 0), ("p99.9", "p99.9 us", 0),
         ("cpu_us", "CPU us", 1), ("user_us", "user us", 1), ("switches", "switches", 2), ("calls", "system calls", 1)]


def alternating(count, items):
    """Each item once a round: forwards in one round, backwards in the next, so that none always comes first."""
    for number in range(count):
        yield from items if number % 2 == 0 else reversed(items)


def show(name, rivals, measured):
    """Prints a workload's row and returns what the JSON file keeps of it."""
    print_row(name, [one.name for one in rivals], measured, "pgbouncer")
    return {who: summary(rounds) | {"rounds": rounds} for who, rounds in measured.items()}


def summary(rounds):
    """{figure: {median, low, high}} of one pooler's rounds."""
    result = {}
    for key in rounds[0]:
        values = [one[key] for one in rounds if one.get(key) is not None]
        if values:
            result[key] = {"median": statistics.median(values), "low": min(values), "high": max(values)}
    return result


def ratios(rounds, base):
    """Round by round against the base, so that what slowed a whole round slows both."""
    result = {}
    for key in rounds[0]:
        pairs = [(one.get(key), other.get(key)) for one, other in zip(rounds, base)]
        values = [a / b for a, b in pairs if a is not None and b]
        if values:
            result[key] = {"median": statistics.median(values), "low": min(values), "high": max(values)}
    return result


def text_of(value, digits):
    return "-" if value is None else f"{value:,.{digits}f}"


def print_row(name, poolers, results, base):
    """One workload: a line a pooler, ratios against the base."""
    print(f"\n{name}")
    heads = "".join(f"{title:>19}" for _, title, _ in shown)
    print(f"  {'':12}{heads}")
    for pooler in poolers:
        rounds = results.get(pooler)
        if not rounds:
            print(f"  {pooler:12}  not run")
            continue
        figures = summary(rounds)
        cells = "".join(f"{text_of(figures.get(key, {}).get('median'), digits):>19}" for key, _, digits in shown)
        print(f"  {pooler:12}{cells}")
        if pooler != base and results.get(base):
            against = ratios(rounds, results[base])
            cells = "".join(f"{ratio_text(against.get(key)):>19}" for key, _, _ in shown)
            print(f"  {'/ ' + base:12}{cells}", flush=True)


def ratio_text(ratio):
    return "-" if ratio is None else f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})"


def save(path, document):
    with open(path, "w", encoding="utf-8") as out:
        json.dump(document, out, indent=1)
        out.write("\n")
