"""The command lines of the scripts of 2016–2018: both sets of flags, their modes, their folders."""

import json
import pathlib
import re

import numpy as np
import pytest

import program

LOG_LINE = re.compile(r"\[\d+:\d\d:\d\d\.\d{6}\] Step: \d+, loss: [\d.e+-]+, train_acc: [\d.]+, "
                      r"train_auc: [\d.]+, valid_acc: [\d.]+, valid_auc: [\d.]+, \d+ examples/s")


def copy_as(synth, kind, rows, path, **flags):
    pattern = pathlib.Path(synth(kind, rows, **flags))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(next(pattern.parent.glob(pattern.name)).read_bytes())


@pytest.fixture
def home(tmp_path, synth):
    """A folder laid out as the scripts had it."""
    copy_as(synth, "dense", 500, tmp_path / "data/cancer/cancer_train.csv.tfrecords")
    copy_as(synth, "dense", 150, tmp_path / "data/cancer/cancer_test.csv.tfrecords",
            first_row=1000)
    copy_as(synth, "sparse", 500, tmp_path / "data/a8a/a8a_train.libsvm.tfrecords")
    return tmp_path


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_no_flags_at_all(home):
    """The dense script's defaults: its files, 100 epochs of batches of 64, a report every 10 steps."""
    done = program.run("train", cwd=home)
    assert names(home) == ["checkpoint", "data", "model", "tensorboard"]
    assert len(LOG_LINE.findall(done.stderr)) >= 80
    assert "Use the model: dnn, the optimizer: adagrad" in done.stderr
    assert str(program.newest_checkpoint(home / "checkpoint")).endswith("checkpoint.ckpt-800")
    tensors = {t["name"]: t["shape"] for t in program.inspect(home / "checkpoint")["checkpoint"][
        "tensors"]}
    assert tensors["input_layer/weights"] == [9, 128] and tensors["output_layer/weights"] == [8, 2]
    assert names(home / "model") == ["1"]


def test_sparse_defaults(home):
    program.run("train", cwd=home, train_files="./data/a8a/a8a_train.libsvm.tfrecords")
    assert names(home) == ["data", "sparse_checkpoint", "sparse_model", "sparse_tensorboard"]
    shown = program.inspect(home / "sparse_checkpoint")["checkpoint"]
    tensors = {t["name"]: t["shape"] for t in shown["tensors"]}
    assert tensors["input/weights"] == [124, 128] and tensors["layer0/weights"] == [128, 32]
    assert str(program.newest_checkpoint(home / "sparse_checkpoint")).endswith("-80")


NAME_SETS = [
    {"train_files": "data/cancer/cancer_train.csv.tfrecords", "train_batch_size": 100,
     "validation_files": "data/cancer/cancer_test.csv.tfrecords", "validation_batch_size": 50,
     "checkpoint_path": "ck", "output_path": "tb", "model_path": "none", "dnn_struct": "16 8",
     "steps_to_validate": 5, "epoch_number": 3, "shuffle_block": 200, "input_threads": 2,
     "model": "wide_and_deep", "optimizer": "ftrl", "threads": 2},
    {"train_file": "data/cancer/cancer_train.csv.tfrecords", "batch_size": 100,
     "validate_file": "data/cancer/cancer_test.csv.tfrecords", "validate_batch_size": 50,
     "checkpoint_dir": "ck", "tensorboard_dir": "tb", "model_path": "none", "model_network": "16 8",
     "step_to_validate": 5, "epoch_number": 3, "min_after_dequeue": 200, "batch_thread_number": 2,
     "model": "wide_and_deep", "optimizer": "ftrl", "thread_number": 2},
    {"train_file": "data/cancer/cancer_train.csv.tfrecords", "batch_size": 100,
     "validate_files": "data/cancer/cancer_test.csv.tfrecords", "validate_batch_size": 50,
     "checkpoint_dir": "ck", "output_dir": "tb", "model_path": "none", "model_network": "16 8",
     "steps_to_validate": 5, "epoch_number": 3, "min_after_dequeue": 200,
     "train_file_format": "tfrecords", "model": "wide_and_deep", "optimizer": "ftrl"},
]


def test_name_sets_mean_the_same(home):
    digests = set()
    for flags in NAME_SETS:
        program.run("train", cwd=home, mode="train_from_scratch", **flags)
        digests.add(program.digest(home / "ck"))
        assert len(list((home / "tb").glob("*tfevents*"))) > 0
    assert len(digests) == 1


@pytest.mark.parametrize("model, same", [("wide", "lr"), ("deep", "dnn")])
def test_names_of_models_of_2016(home, model, same):
    digests = set()
    for name in [model, same]:
        program.run("train", cwd=home, model=name, epoch_number=1, mode="train_from_scratch")
        digests.add(program.digest(home / "checkpoint"))
    assert len(digests) == 1


def test_train_goes_on_and_from_scratch_does_not(home):
    flags = {"cwd": home, "epoch_number": 2, "model_path": "none"}
    first = program.run("train", **flags)
    assert "Checkpoint not found: " in first.stderr
    again = program.run("train", **flags | {"epoch_number": 4})
    assert "Restore session from checkpoint: " in again.stderr
    assert str(program.newest_checkpoint(home / "checkpoint")).endswith("-32")
    for how in [{"mode": "train_from_scratch"}, {"resume_from_checkpoint": False}]:
        anew = program.run("train", **flags, **how)
        assert "Restore" not in anew.stderr
        assert str(program.newest_checkpoint(home / "checkpoint")).endswith("-16")


def test_inference(home):
    program.run("train", cwd=home, epoch_number=10)
    done = program.run("train", cwd=home, mode="inference",
                       inference_data_file="data/cancer/cancer_test.csv.tfrecords",
                       inference_result_file="result.txt")
    assert re.search(r"accuracy: [\d.]+, auc: [\d.]+", done.stderr), done.stderr
    lines = (home / "result.txt").read_text().splitlines()
    assert len(lines) == 150
    number = r"\d\.\d{18}e[+-]\d\d"
    assert all(re.fullmatch(f"{number},{number}", line) for line in lines)
    softmax = np.loadtxt(home / "result.txt", delimiter=",")
    np.testing.assert_allclose(softmax.sum(1), 1, atol=1e-6)
    metrics = program.evaluate(model_path=home / "model",
                               files=home / "data/cancer/cancer_test.csv.tfrecords")
    said = re.search(r"accuracy: ([\d.]+), auc: ([\d.]+)", done.stderr)
    assert float(said[1]) == pytest.approx(metrics["accuracy"], abs=1e-5)
    assert float(said[2]) == pytest.approx(metrics["auc"], abs=1e-5)
    program.run("train", cwd=home, mode="inference",
                inference_test_file="data/cancer/cancer_test.csv.tfrecords")
    assert (home / "inference_result.txt").read_text().splitlines() == lines


@pytest.mark.parametrize("mode", ["savedmodel", "save_model", "export"])
def test_savedmodel(home, mode):
    program.run("train", cwd=home, epoch_number=1)
    done = program.run("train", cwd=home, mode=mode)
    assert "Save the model in: ./model/2" in done.stderr
    assert program.digest(home / "model/2") == program.digest(home / "model/1")


def test_modes_without_a_checkpoint(home):
    for mode in ["inference", "savedmodel"]:
        done = program.run("train", cwd=home, mode=mode, exit_code=1)
        assert "checkpoint" in done.stderr
    assert names(home) == ["data"]


def test_benchmark_writes_nothing(home):
    for flag in ["enable_benchmark", "benchmark_mode"]:
        done = program.run("train", cwd=home, **{flag: True})
        assert "Finish training for benchmark" in done.stderr and "examples/s" in done.stderr
    assert names(home) == ["data"]


def test_customized_is_the_model_of_2018(home):
    program.run("train", cwd=home, model="customized", enable_dropout=True, dropout_keep_prob=0.5,
                epoch_number=1)
    shown = program.inspect(home / "checkpoint", values="capstan/model_file")["checkpoint"]
    text = shown["values"][0]["values"][0]
    assert "hidden: [128, 32, 8]" in text and "dropout: 0.5, dropout_last_only: true" in text


def test_normal1_begins_as_the_scripts_did(home):
    program.run("train", cwd=home, init="normal1", max_steps=1, learning_rate=1e-30)
    shown = program.inspect(home / "checkpoint", values="layer_0/weights,layer_0/biases",
                            max_values=5000)["checkpoint"]
    values = np.concatenate([t["values"] for t in shown["values"]])
    assert abs(values.mean()) < 0.05 and values.std() == pytest.approx(1, abs=0.05)


def test_learning_rate_decay_and_class_weights_are_taken(home):
    flags = {"cwd": home, "epoch_number": 1, "mode": "train_from_scratch"}
    digests = []
    for more in [{}, {"class_weights": "1,3"}, {"l2": 0.1}, {"enable_bn": True},
                 {"enable_lr_decay": True, "lr_decay_rate": 0.5}]:
        program.run("train", **flags, **more)
        digests.append(program.digest(home / "checkpoint"))
    assert len(set(digests)) == len(digests)  # the model file inside tells the last from the first


def test_log_as_json(home):
    done = program.run("train", cwd=home, epoch_number=1, log_json=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert any("Step: " in str(line) for line in lines)
    assert program.run("train", cwd=home, epoch_number=1, quiet=True,
                       mode="train_from_scratch").stderr == ""
