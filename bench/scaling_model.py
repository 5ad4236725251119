#!/usr/bin/env python3
"""How the rate of async training grows with workers and servers: docs/scaling.md.

  python bench/scaling_model.py                      the tables, from the constants below; nothing is run
  python bench/scaling_model.py --measure --capstan=build/capstan --bench_rpc=build/bench/bench_rpc
                                                     measures the constants, then checks them on other clusters

Processor time of a batch, by least squares over clusters of several sizes, after taking off what bench_rpc measures of
calls and bytes:
  server   calls + bytes + row·rows + dense            dense: the dense part's pull, sums and optimizer
  worker   calls + bytes + row·rows + dense + example·examples
A worker does one batch after another (think time), and waits at the servers' processors and links: a closed queueing
network, solved by mean value analysis.
"""
import argparse
import dataclasses
import pathlib
import subprocess
import tempfile

DENSE_FLOATS = 429 * 256 + 256 + 256 * 128 + 128 + 128 * 64 + 64 + 64 + 1 + 14
ROW_FLOATS = 17


@dataclasses.dataclass
class Constants:
    """Of one thread of the machine that docs/scaling.md names."""
    call_us: float = 15.6  # of each side, for a request and its answer
    byte_ns: float = 0.193  # of each side
    server_row_us: float = 0.236  # of pull and push: look up, gather, add, optimizer
    server_dense_us: float = 571.0
    worker_example_us: float = 6.25
    worker_row_us: float = 0.198
    worker_dense_us: float = 1259.0
    # Of batch sizes: distinct rows per example. Rows repeat more in larger batches.
    rows: dict = dataclasses.field(default_factory=lambda: {512: 10.41, 2048: 7.68, 8192: 5.42})
    key_bytes: float = 2.94  # of a row's key, presence and count, both ways together


CONSTANTS = Constants()


def rows_per_example(c, batch):
    known = sorted(c.rows)
    batch = min(max(batch, known[0]), known[-1])
    for low, high in zip(known, known[1:]):
        if batch <= high:
            part = (batch - low) / (high - low)
            return c.rows[low] + part * (c.rows[high] - c.rows[low])
    return c.rows[batch]


def batch_bytes(c, batch, value_bytes):
    """(to servers, from servers): pull asks with keys, push sends gradients."""
    rows = rows_per_example(c, batch) * batch
    values = (ROW_FLOATS * rows + DENSE_FLOATS) * value_bytes
    return values + c.key_bytes * rows, values


def server_us(c, batch, servers, value_bytes):
    """Processor time of one server for one worker's batch."""
    rows = rows_per_example(c, batch) * batch
    moved = sum(batch_bytes(c, batch, value_bytes)) * c.byte_ns / 1000
    return 2 * c.call_us + (moved + c.server_row_us * rows + c.server_dense_us) / servers


def worker_us(c, batch, servers, value_bytes, threads=1):
    """Processor time of a worker's batch; only the model itself is shared by threads."""
    rows = rows_per_example(c, batch) * batch
    moved = sum(batch_bytes(c, batch, value_bytes)) * c.byte_ns / 1000
    calls = (2 * servers + 1) * c.call_us  # and one to the chief
    return calls + moved + c.worker_row_us * rows + c.worker_dense_us + c.worker_example_us * batch / threads


@dataclasses.dataclass
class Site:
    """Assumptions; one host per task."""
    gigabits: float
    round_trip_us: float = 100.0
    link_use: float = 0.9  # of the nominal rate, for bytes of ours
    threads: int = 1  # of a worker; a server does one request after another


def stations_us(c, site, batch, servers, value_bytes):
    """(think time, demands): what a batch takes alone, and what of it others wait for."""
    up, down = batch_bytes(c, batch, value_bytes)
    byte_us = 8 / (site.gigabits * 1000 * site.link_use)
    own_link = (up + down) * byte_us * (1 - 1 / servers)  # the rest of the time both links are busy at once
    think = worker_us(c, batch, servers, value_bytes, site.threads) + 3 * site.round_trip_us + own_link
    links = [up * byte_us / servers, down * byte_us / servers]  # full duplex
    return think, [server_us(c, batch, servers, value_bytes), *links]


def rates(c, site, batch, servers, most_workers, value_bytes=4):
    """Examples/s with 1, 2, … workers, by mean value analysis; the chief's calls are its limit."""
    think, demands = stations_us(c, site, batch, servers, value_bytes)
    queues, found = [0.0] * len(demands), []
    for workers in range(1, most_workers + 1):
        waits = [d * (1 + q) for d, q in zip(demands, queues)]
        per_us = min(workers / (think + sum(waits)), 1 / c.call_us)
        queues = [per_us * w for w in waits]
        found.append(per_us * batch * 1e6)
    return found


def last_that_pays(found):
    """The most workers of which the last still adds half of what the first brought."""
    for workers in range(1, len(found)):
        if found[workers] - found[workers - 1] < 0.5 * found[0]:
            return str(workers)
    return f"> {len(found)}"


def print_table(c, site, batch, value_bytes):
    workers = [1, 2, 4, 8, 16, 32, 64, 128, 256]
    wire = "fp32" if value_bytes == 4 else "bf16"
    threads = f"{site.threads} thread{'s' if site.threads > 1 else ''} per worker"
    print(f"\n{site.gigabits:g} Gb/s, {threads}, batch {batch}, {wire} wire: million examples/s\n")
    print("| servers | " + " | ".join(f"{w} worker{'s' if w > 1 else ''}" for w in workers) + " | pays up to | limit |")
    print("|---|" + "---|" * (len(workers) + 2))
    for servers in [1, 2, 4, 8, 16, 32, 64]:
        found = rates(c, site, batch, servers, 1024, value_bytes)
        _, demands = stations_us(c, site, batch, servers, value_bytes)
        limit = "link" if max(demands[1:]) > demands[0] else "processor"
        if 1 / c.call_us < 1 / max(demands):
            limit = "chief"
        print(f"| {servers} | " + " | ".join(f"{found[w - 1] / 1e6:.2f}" for w in workers) +
              f" | {last_that_pays(found)} | {limit} |")


def fit(rows, values):
    """Least squares of relative errors with coefficients of at least 0, by coordinate descent."""
    rows = [[x / v for x in row] for row, v in zip(rows, values)]
    found = [0.0] * len(rows[0])
    for _ in range(20_000):
        for k in range(len(found)):
            rest = [1 - sum(f * x for f, x in zip(found, row)) + found[k] * row[k] for row in rows]
            found[k] = max(0.0, sum(r * row[k] for r, row in zip(rest, rows)) / sum(row[k]**2 for row in rows))
    return found


def measure_calls(bench_rpc, c):
    """From "bytes, in flight, calls/s, GB/s, cpu us/call, …" of both sides together."""
    lines = subprocess.run([bench_rpc], capture_output=True, text=True, check=True).stdout.splitlines()[1:]
    cpu = {(int(f[0]), int(f[1])): float(f[4]) for f in map(str.split, lines)}
    c.call_us = cpu[100, 1] / 2
    c.byte_ns = (cpu[1_000_000, 1] / 2 - c.call_us) / 2_000_000 * 1000


def measure(args, data):
    from loopback_cluster import run_cluster
    from training import CLICKS

    def cluster(servers, workers, batch, *flags):
        return run_cluster(args.capstan, CLICKS / "model.yaml", f"{data}/train-*", servers, workers, batch, flags)

    c = Constants()
    measure_calls(args.bench_rpc, c)
    runs, keys = {}, []
    for batch in (512, 2048, 8192):
        runs[1, 1, batch] = cluster(1, 1, batch)
        full = runs[1, 1, batch].bytes_per_example() * batch
        half = cluster(1, 1, batch, "--wire_format=bf16").bytes_per_example() * batch
        floats = (full - half) / 4  # two bytes less, both ways
        c.rows[batch] = (floats - DENSE_FLOATS) / ROW_FLOATS / batch
        keys.append((full - 8 * floats) / c.rows[batch] / batch)
    c.key_bytes = sum(keys) / len(keys)
    for shape in ((2, 2, 512), (2, 2, 2048), (4, 2, 1024), (4, 2, 4096)):
        runs[shape] = cluster(*shape)
    server_rows, server_values, worker_rows, worker_values = [], [], [], []
    for (servers, _, batch), run in runs.items():
        plain = dataclasses.replace(c, server_row_us=0, server_dense_us=0, worker_example_us=0, worker_row_us=0,
                                    worker_dense_us=0)
        rows = rows_per_example(c, batch) * batch
        server_rows.append([rows, 1])
        server_values.append(run.cpu_us_per_example("server") * batch - servers * server_us(plain, batch, servers, 4))
        worker_rows.append([rows, 1, batch])
        worker_values.append(run.cpu_us_per_example("worker") * batch - worker_us(plain, batch, servers, 4))
    c.server_row_us, c.server_dense_us = fit(server_rows, server_values)
    c.worker_row_us, c.worker_dense_us, c.worker_example_us = fit(worker_rows, worker_values)
    print(c)
    for shape in ((1, 2, 1024), (2, 4, 2048), (3, 1, 4096), (4, 8, 1024), (2, 2, 8192)):
        runs[shape] = cluster(*shape)
    check(c, runs)


def check(c, runs, cores=2):
    """Processor time by the model and as measured; the rate if `cores` did nothing else and nobody waited."""
    print("\n| servers, workers, batch | server us/example: model | measured | worker: model | measured | "
          "examples/s: model | measured |")
    print("|---|---|---|---|---|---|---|")
    for (servers, workers, batch), run in runs.items():
        server = servers * server_us(c, batch, servers, 4) / batch
        worker = worker_us(c, batch, servers, 4) / batch
        alone = worker + server / min(servers, cores)  # of one batch: worker and servers in turn
        rate = min(workers / alone, cores / (worker + server)) * 1e6
        cpu = run.cpu_us_per_example("server"), run.cpu_us_per_example("worker")
        print(f"| {servers}, {workers}, {batch} | {server:.2f} | {cpu[0]:.2f} | {worker:.2f} | {cpu[1]:.2f} | "
              f"{rate:.0f} | {run.steady_examples_per_s():.0f} |")


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser()
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--capstan", default=root / "build" / "capstan")
    parser.add_argument("--bench_rpc", default=root / "build" / "bench" / "bench_rpc")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--data", default="", help="folder of data to keep; empty: made and removed")
    args = parser.parse_args()
    if args.measure:
        with tempfile.TemporaryDirectory() as folder:
            data = args.data or folder
            if not list(pathlib.Path(data).glob("train-*")):
                subprocess.run([args.capstan, "synth", "--kind=clicks", f"--rows={args.rows}", "--files=4",
                                f"--output={data}/train"], check=True)
            measure(args, data)
        return
    for site in (Site(10), Site(100, round_trip_us=30), Site(10, threads=8), Site(100, round_trip_us=30, threads=8)):
        print_table(CONSTANTS, site, 2048, 4)
    print_table(CONSTANTS, Site(10, threads=8), 2048, 2)
    print_table(CONSTANTS, Site(10, threads=8), 8192, 4)


if __name__ == "__main__":
    main()
