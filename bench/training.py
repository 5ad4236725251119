#!/usr/bin/env python3
"""The README's training figures: capstan and TensorFlow on the same data, in turn, on this machine.

  python bench/training.py --capstan=build/capstan --python=VENV/bin/python [--rows=2000000] [--repeats=3]

Prints for each case the median of the repeats, all of them, and the ratio to the peer where there is one. The
machine's limit is printed by build/bench/bench_model (matrix products) and bench_table (rows).
"""
import argparse
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLICKS = ROOT / "examples" / "clicks"


def run(command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def rate_of(text):
    return float(re.findall(r"(?:examples_per_s |, )([\d.]+)(?: examples/s)?$", text.strip(), re.M)[-1])


def capstan_rate(args, data, model, *flags):
    return rate_of(run([args.capstan, "train", f"--model_file={model}", f"--train_files={data}/train-*", "--enable_benchmark",
                        "--train_batch_size=2048", *flags]))


def tensorflow_rate(args, data):
    return rate_of(run([args.python, ROOT / "bench" / "tensorflow_wide_and_deep.py", f"--train_files={data}/train-*",
                        "--batch_size=2048"]))


def auc_of(args, data, folder, *flags):
    run([args.capstan, "train", f"--model_file={CLICKS}/model.yaml", f"--train_files={data}/train-*",
         f"--checkpoint_path={folder}/ck", "--output_path=none", "--model_path=none", "--steps_to_validate=0",
         "--mode=train_from_scratch", *flags])
    text = run([args.capstan, "evaluate", f"--checkpoint_path={folder}/ck", f"--files={data}/valid-*", "--json"])
    return json.loads(text)["auc"]


def checkpointing_rates(args, data, folder):
    """Rates of a whole run without and with a checkpoint every tenth of it."""
    rates = []
    for flags in (["--checkpoint_path=none"], [f"--checkpoint_path={folder}/cks", f"--checkpoint_steps={args.rows // 2048 // 10}"]):
        text = run([args.capstan, "train", f"--model_file={CLICKS}/model.yaml", f"--train_files={data}/train-*", "--output_path=none",
                    "--model_path=none", "--steps_to_validate=0", "--mode=train_from_scratch", "--checkpoint_secs=0", *flags])
        rates.append(float(re.search(r"([\d.]+) examples/s$", [l for l in text.splitlines() if "Step:" in l][-1]).group(1)))
    return rates


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--capstan", default=ROOT / "build" / "capstan")
    parser.add_argument("--python", default="", help="with TensorFlow; empty: no peer")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", default="", help="folder of data to keep; empty: made and removed")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        data = args.data or folder
        if not list(pathlib.Path(data).glob("train-*")):
            run([args.capstan, "synth", "--kind=clicks", f"--rows={args.rows}", "--files=4", f"--output={data}/train"])
            run([args.capstan, "synth", "--kind=clicks", f"--first_row={args.rows}", "--rows=200000", f"--output={data}/valid"])
        cases = {
            "wide & deep, fp32": lambda: capstan_rate(args, data, CLICKS / "model.yaml"),
            "wide & deep, bf16": lambda: capstan_rate(args, data, CLICKS / "model.yaml", "--precision=bf16"),
            "lr, FTRL": lambda: capstan_rate(args, data, CLICKS / "lr.yaml"),
            "dlrm": lambda: capstan_rate(args, data, CLICKS / "dlrm.yaml"),
        }
        if args.python:
            cases["wide & deep, TensorFlow"] = lambda: tensorflow_rate(args, data)
        rates = {name: [] for name in cases}
        for _ in range(args.repeats):  # in turn, so that a slow minute meets all
            for name, case in cases.items():
                rates[name].append(case())
        medians = {name: statistics.median(values) for name, values in rates.items()}
        for name, values in rates.items():
            print(f"{name:28} {medians[name]:10.0f} examples/s   all: {', '.join(f'{v:.0f}' for v in values)}")
        ours = medians["wide & deep, fp32"]
        print(f"bf16 / fp32                  {medians['wide & deep, bf16'] / ours:.2f}")
        if args.python:
            print(f"capstan / TensorFlow         {ours / medians['wide & deep, TensorFlow']:.2f}")
        fp32, bf16 = auc_of(args, data, folder), auc_of(args, data, folder, "--precision=bf16")
        print(f"AUC fp32 {fp32:.5f}, bf16 {bf16:.5f}, difference {abs(fp32 - bf16):.5f}")
        pairs = [checkpointing_rates(args, data, folder) for _ in range(args.repeats)]
        without, with_ = (statistics.median(column) for column in zip(*pairs))
        print(f"checkpointing ten times      {with_:.0f} examples/s, without {without:.0f}: {100 * (1 - with_ / without):.1f} % slower")


if __name__ == "__main__":
    main()
