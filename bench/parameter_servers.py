#!/usr/bin/env python3
"""Parameter servers on one machine: capstan and TensorFlow on the same data, in turn.

  python bench/parameter_servers.py --capstan=build/capstan --python=VENV/bin/python [--rows=2000000] [--repeats=3]

Wide & deep (26 ids, 13 numbers, dim 16, 256-128-64, Adagrad), batch 2048 per worker; every task is a process with one
thread, the server and the worker of 1 + 1 with two each: there are two cores. Prints for each case the median of the
repeats and all of them, then the ratios and the goals. "rate" is of the steady part of a run, for both programs; "with
the end" is the chief's own last line, which holds the start, the last checkpoint and the counting of the examples too.
Bytes are what servers received and sent, without TCP's headers.
"""
import argparse
import pathlib
import re
import statistics
import tempfile

from loopback_cluster import run_cluster
from training import CLICKS, ROOT, rate_of, run

BATCH = 2048
CASES = {  # name: servers, workers, threads of each task, examples per step, flags
    "async, fp32": (2, 2, 1, BATCH, ()),
    "async, bf16 wire": (2, 2, 1, BATCH, ("--wire_format=bf16",)),
    "async, overlap_pull": (2, 2, 1, BATCH, ("--overlap_pull",)),
    "sync, fp32": (2, 2, 1, 2 * BATCH, ("--sync",)),
    "sync, bf16 wire": (2, 2, 1, 2 * BATCH, ("--sync", "--wire_format=bf16")),
    "1 ps + 1 worker": (1, 1, 2, BATCH, ()),
    "1 + 1, overlap_pull": (1, 1, 2, BATCH, ("--overlap_pull",)),
}


def local_rate(args, data):
    return rate_of(run([args.capstan, "train", f"--model_file={CLICKS}/model.yaml", f"--train_files={data}/train-*",
                        "--enable_benchmark", f"--train_batch_size={BATCH}", "--threads=2"]))


def tensorflow_rate(args, data, optimizer, cpu):
    text = run([args.python, ROOT / "bench" / "tensorflow_parameter_servers.py",
                        f"--train_files={data}/train-*", f"--batch_size={BATCH}",
                        f"--optimizer={optimizer}", f"--steps={args.tensorflow_steps}"])
    cpu.append(float(re.search(r"cpu_us_per_example ([\d.]+)", text).group(1)))
    return rate_of(text)


def measure(args, data):
    """Of each case its runs; rates of local training and TensorFlow; TensorFlow's processor time with Adagrad."""
    runs, cpu = {name: [] for name in CASES}, []
    rates = {"local, 2 threads": []}
    if args.python:
        rates |= {"TensorFlow, Adagrad": [], "TensorFlow, SGD": []}
    for _ in range(args.repeats):  # in turn, so that a slow minute meets all
        for name, (servers, workers, threads, batch, flags) in CASES.items():
            runs[name].append(run_cluster(args.capstan, CLICKS / "model.yaml", f"{data}/train-*", servers, workers,
                                          batch, flags, threads=threads))
        rates["local, 2 threads"].append(local_rate(args, data))
        if args.python:
            rates["TensorFlow, Adagrad"].append(tensorflow_rate(args, data, "adagrad", cpu))
            rates["TensorFlow, SGD"].append(tensorflow_rate(args, data, "sgd", []))
    return runs, rates, cpu


def goal(text, value, limit, at_least):
    met = value >= limit if at_least else value <= limit
    bound = "at least" if at_least else "at most"
    print(f"{text:52} {value:10.2f}   goal {bound} {limit:g}: {'met' if met else 'NOT MET'}")


def report(runs, rates, cpu):
    def median(name, field):
        return statistics.median(getattr(r, field)() for r in runs[name])

    print(f"{'case':22} {'rate':>9} {'with the end':>13} {'B/example':>10} {'largest share':>14} {'staleness':>10} "
          f"{'CPU us/example: workers':>24} {'servers':>8}   all rates")
    for name, each in runs.items():
        print(f"{name:22} {median(name, 'steady_examples_per_s'):9.0f} "
              f"{statistics.median(r.examples_per_s for r in each):13.0f} {median(name, 'bytes_per_example'):10.0f} "
              f"{median(name, 'largest_share'):13.1%} {statistics.median(r.staleness for r in each):10.2f} "
              f"{statistics.median(r.cpu_us_per_example('worker') for r in each):24.2f} "
              f"{statistics.median(r.cpu_us_per_example('server') for r in each):8.2f}   "
              f"{', '.join(f'{r.steady_examples_per_s():.0f}' for r in each)}")
    for name, values in rates.items():
        print(f"{name:22} {statistics.median(values):9.0f}{'':86}{', '.join(f'{v:.0f}' for v in values)}")
    print()
    ours = median("async, fp32", "steady_examples_per_s")
    whole = statistics.median(r.examples_per_s for r in runs["async, fp32"])
    goal("2 ps + 2 workers, async fp32: examples/s, steady", ours, 110_000, True)
    goal("  with the end", whole, 110_000, True)
    for mode in ("async", "sync"):
        goal(f"bytes per example, {mode}, fp32", median(f"{mode}, fp32", "bytes_per_example"), 1900, False)
        goal(f"bytes per example, {mode}, bf16", median(f"{mode}, bf16 wire", "bytes_per_example"), 1000, False)
    local = statistics.median(rates["local, 2 threads"])
    for name in ("1 ps + 1 worker", "1 + 1, overlap_pull"):
        goal(f"{name} / local, 2 threads", median(name, "steady_examples_per_s") / local, 0.75, True)
    for name in rates:
        if name.startswith("TensorFlow"):
            goal(f"capstan (Adagrad) / {name}", ours / statistics.median(rates[name]), 1.7, True)
    if cpu:  # beside other work rates say little, this more
        mine = statistics.median(r.cpu_us_per_example("worker") + r.cpu_us_per_example("server")
                                 for r in runs["async, fp32"])
        print(f"processor time per example, both with Adagrad: TensorFlow {statistics.median(cpu):.2f} us, "
              f"capstan {mine:.2f} us: {statistics.median(cpu) / mine:.2f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--capstan", default=ROOT / "build" / "capstan")
    parser.add_argument("--python", default="", help="with TensorFlow; empty: no peer")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tensorflow_steps", type=int, default=600)
    parser.add_argument("--data", default="", help="folder of data to keep; empty: made and removed")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        data = args.data or folder
        if not list(pathlib.Path(data).glob("train-*")):
            run([args.capstan, "synth", "--kind=clicks", f"--rows={args.rows}", "--files=4", f"--output={data}/train"])
        report(*measure(args, data))


if __name__ == "__main__":
    main()
