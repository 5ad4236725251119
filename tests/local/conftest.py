import contextlib
import json

import pytest

import program
from local_run import LocalRun

MODEL = {"model": "wide_and_deep",
         "features": [{"name": "I{1..13}", "type": "float", "log1p": True},
                      {"name": "C{1..26}", "type": "id"}],
         "deep": {"hidden": [16, 8]}, "embedding": {"dim": 4}, "optimizer": "adagrad"}


@pytest.fixture
def run(tmp_path):
    """run(job, *flags, …): `capstan run` in a folder of its own."""
    with contextlib.ExitStack() as stack:
        def start(job, *flags, folder="run", **arguments):
            made = LocalRun(tmp_path / folder, job, *flags, **arguments)
            stack.callback(made.close)
            return made
        yield start


@pytest.fixture
def clicks(tmp_path, synth):
    """clicks(**flags of training): the job file of two servers and two workers on clicks data, as a
    dict. Its checkpoints are in tmp_path/ck."""
    model = tmp_path / "model.yaml"
    model.write_text(json.dumps(MODEL))

    def make(rows=20000, **flags):
        flags = {"train_files": synth("clicks", rows, files=3), "model_file": model, "seed": 5,
                 "train_batch_size": 100, "epoch_number": 1, "shuffle_block": 1000,
                 "checkpoint_path": tmp_path / "ck", "model_path": "none", "output_path": "none",
                 "threads": 1, "worker_timeout": 2, "steps_to_validate": 100} | flags
        command = program.arguments("train", [], flags)
        return {"name": "clicks", "command": ["capstan", *command[1:]],
                "ps": {"replicas": 2}, "worker": {"replicas": 2}, "deadline": "5m"}
    return make
