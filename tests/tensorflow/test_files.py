"""Files that pass between capstan and TensorFlow: records, hashes, curves; and each input format."""

import glob
import gzip
import json

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

import program
import story_records

CLICKS = {"model": "wide_and_deep", "embedding": {"dim": 8},
          "optimizer": {"name": "adagrad", "learning_rate": 0.05}, "deep": {"hidden": [32, 16]},
          "features": [{"name": "I{1..13}", "type": "float", "log1p": True},
                       {"name": "C{1..26}", "type": "id"}]}
CLICK_ROWS, VALID_ROWS = 12000, 4000


def files_of(pattern):
    return sorted(glob.glob(str(pattern)))


# Records ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags, compression", [({}, ""), ({"gzip": True}, "GZIP")])
def test_tensorflow_reads_our_records(synth, flags, compression):
    files = files_of(synth("clicks", 300, files=3, **flags))
    assert len(files) == 3
    columns = {f"I{i}": tf.io.FixedLenFeature([], tf.float32) for i in range(1, 14)}
    columns |= {f"C{i}": tf.io.FixedLenFeature([], tf.int64) for i in range(1, 27)}
    columns["label"] = tf.io.FixedLenFeature([], tf.int64)
    dataset = tf.data.TFRecordDataset(files, compression_type=compression)
    parsed = tf.io.parse_example(list(dataset), columns)
    assert parsed["label"].shape == (300,)
    # The same rows as CSV.
    header, *lines = (line for path in files_of(synth("clicks", 300, files=3, format="csv"))
                      for line in open(path).read().splitlines())
    names = header.split(",")
    rows = np.array([[float(x or 0) for x in line.split(",")] for line in lines if line != header])
    for name in columns:
        np.testing.assert_array_equal(parsed[name].numpy(), rows[:, names.index(name)],
                                      err_msg=name)


def test_tensorflow_reads_our_sparse_records(synth):
    records = list(tf.data.TFRecordDataset(files_of(synth("sparse", 100))))
    parsed = tf.io.parse_example(records, {
        "label": tf.io.FixedLenFeature([], tf.int64),
        "ids": tf.io.VarLenFeature(tf.int64), "values": tf.io.VarLenFeature(tf.float32)})
    assert parsed["ids"].dense_shape.numpy().tolist() == [100, 14]
    assert parsed["values"].values.shape == parsed["ids"].values.shape
    assert 0 < parsed["label"].numpy().sum() < 100


def test_training_on_records_of_tensorflow(tmp_path):
    """Plain, GZIP and ZLIB: found by looking, and the same run. So is an int64 or a float label."""
    rows = story_records.make_rows(400, 3)
    model = {"model": "lr", "features": [{"name": "vector", "type": "float", "length": 3},
                                         {"name": "tags", "type": "id", "combiner": "sum"}]}
    (tmp_path / "model.yaml").write_text(json.dumps(model))
    digests = set()
    for compression in ["", "GZIP", "ZLIB"]:
        for label in [int, float]:
            folder = tmp_path / f"{compression}{label.__name__}"
            folder.mkdir()
            written = [{**row, "label": [label(row["label"][0])]} for row in rows]
            files = story_records.write_records(folder / "records", written, compression)
            done = program.train(folder, model_file=tmp_path / "model.yaml", train_files=files,
                                 train_batch_size=64, epoch_number=2, seed=1)
            looked = "tfrecord" + (f" ({compression.lower()})" if compression else "")
            wanted = f"Train on: {looked}, label {'int64' if label is int else 'float'}"
            assert wanted in done.stderr, done.stderr
            digests.add(weights_digest(folder / "ck"))
    assert len(digests) == 1


def weights_digest(folder):
    reader = tf.train.load_checkpoint(str(folder))
    names = sorted(n for n in reader.get_variable_to_shape_map() if not n.startswith("capstan/"))
    table = {n: reader.get_tensor(n).tolist() for n in names if not n.startswith("tables/")}
    keys = {n for n in names if n.endswith("-keys")}
    for name in keys:
        order = np.argsort(reader.get_tensor(name))
        for part in (n for n in names if n.startswith(name[: -len("-keys")])):
            table[part] = reader.get_tensor(part)[order].tolist()
    return json.dumps(table, sort_keys=True)


def test_our_predictions_in_tensorflow(tmp_path, synth):
    files = synth("sparse", 300)
    program.train(tmp_path, train_files=files, epoch_number=1, model="lr")
    out = tmp_path / "predictions.tfrecord"
    program.run("predict", model_path=tmp_path / "export", files=files, output=out)
    parsed = tf.io.parse_example(list(tf.data.TFRecordDataset(str(out))), {
        "prediction": tf.io.FixedLenFeature([], tf.int64),
        "probability": tf.io.FixedLenFeature([1], tf.float32)})
    p = parsed["probability"].numpy()[:, 0]
    np.testing.assert_array_equal(parsed["prediction"], (p >= 0.5).astype(int))
    assert p.min() > 0 and p.max() < 1


# Hashes -------------------------------------------------------------------------------------------

WORDS = ["", "a", "Zürich", "x" * 1000, "_X_", "1", "-1", "\t,\"", "日本", "w" * 63, "w" * 64]


def test_hashes_are_tensorflows(tmp_path):
    """The keys of a table are what TensorFlow makes of the words, with buckets and without; so are
    those of crosses, also of empty words."""
    words = WORDS + [f"word {i}" for i in range(300)]
    rows = [{"word": [word], "id": [i - 5], "other": [words[-1 - i]], "label": [i % 2]}
            for i, word in enumerate(words)]
    model = {"model": "lr", "features": [
        {"name": "word", "type": "hash"},
        {"name": "id", "type": "id"},
        {"name": "other", "type": "hash", "buckets": 1000},
        {"name": "words", "column": "word", "type": "hash", "buckets": 97, "combiner": "sum"},
        {"name": "both", "type": "cross", "of": ["word", "other"]},
        {"name": "three", "type": "cross", "of": ["word", "id", "other"], "buckets": 50}]}
    (tmp_path / "model.yaml").write_text(json.dumps(model))
    files = story_records.write_records(tmp_path / "records", rows)
    program.train(tmp_path, model_file="model.yaml", train_files=files)
    reader = tf.train.load_checkpoint(str(tmp_path / "ck"))
    joined = lambda *columns: ["_X_".join(str(row[c][0]) for c in columns) for row in rows]
    for table, texts, buckets in [("word", joined("word"), 2**63 - 1),
                                  ("other", joined("other"), 1000),
                                  ("words", joined("word"), 97),
                                  ("both", joined("word", "other"), 2**63 - 1),
                                  ("three", joined("word", "id", "other"), 50)]:
        wanted = tf.strings.to_hash_bucket_fast(texts, buckets).numpy()
        keys = reader.get_tensor(f"tables/{table}-keys")
        assert sorted(keys) == sorted(set(wanted)), table


# Curves -------------------------------------------------------------------------------------------


def test_curves_in_tensorboard(tmp_path, synth):
    done = program.train(tmp_path, train_files=synth("dense", 1000), model="wide_and_deep",
                         validation_files=synth("dense", 300, first_row=10000),
                         steps_to_validate=10, epoch_number=5)
    accumulator = event_accumulator.EventAccumulator(str(tmp_path / "events"))
    accumulator.Reload()
    tags = accumulator.Tags()
    assert {"loss", "train_accuracy", "train_auc", "validate_accuracy", "validate_auc"} <= set(
        tags["scalars"])
    assert tags["graph"]
    steps = [e.step for e in accumulator.Scalars("loss")]
    assert steps == list(range(10, 81, 10))
    lines = [line for line in done.stderr.splitlines() if "Step: " in line]
    assert len(lines) == len(steps)
    for tag, title in [("loss", "loss"), ("train_accuracy", "train_acc"),
                       ("train_auc", "train_auc"), ("validate_accuracy", "valid_acc"),
                       ("validate_auc", "valid_auc")]:
        shown = [float(line.split(f"{title}: ")[1].split(",")[0]) for line in lines]
        values = [e.value for e in accumulator.Scalars(tag)]
        np.testing.assert_allclose(values, shown, rtol=1e-4, err_msg=tag)
    final = program.evaluate(model_path=tmp_path / "export",
                             files=synth("dense", 300, first_row=10000))
    assert accumulator.Scalars("validate_auc")[-1].value == pytest.approx(final["auc"], abs=1e-6)


def test_curves_of_a_regression(tmp_path, synth):
    program.train(tmp_path, train_files=synth("dense", 500), scenario="regression",
                  validation_files=synth("dense", 300, first_row=10000), epoch_number=2)
    accumulator = event_accumulator.EventAccumulator(str(tmp_path / "events"))
    accumulator.Reload()
    scalars = set(accumulator.Tags()["scalars"])
    assert {"loss", "validate_rmse", "validate_r2"} <= scalars and "train_auc" not in scalars


# Formats ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def auc_from_records(tmp_path_factory, synth):
    return auc_from(tmp_path_factory.mktemp("records"), synth, {})


def auc_from(folder, synth, flags, compress=False, model=CLICKS):
    """Trains and evaluates on the clicks in a format."""
    flags = dict(flags)
    (folder / "model.yaml").write_text(json.dumps(model))
    files = {}
    for name, rows, first in [("train", CLICK_ROWS, 0), ("valid", VALID_ROWS, CLICK_ROWS)]:
        paths = files_of(synth("clicks", rows, first_row=first, files=2, **flags))
        if compress:
            for i, path in enumerate(paths):
                paths[i] = folder / f"{name}{i}.gz"
                paths[i].write_bytes(gzip.compress(open(path, "rb").read(), 1))
        files[name] = ",".join(map(str, paths))
    done = program.train(folder, model_file=folder / "model.yaml", train_files=files["train"],
                         train_batch_size=256, seed=1)
    assert f"Train on: {flags.get('format', 'tfrecord')}" in done.stderr
    assert ("(gzip)" in done.stderr) == (compress or flags.get("gzip", False)), done.stderr
    return program.evaluate(model_path=folder / "export", files=files["valid"])["auc"]


def test_records_of_clicks_are_learnt(auc_from_records, synth):
    best = synth.best_auc("clicks", VALID_ROWS, first_row=CLICK_ROWS, files=2)
    assert auc_from_records > best - 0.08


@pytest.mark.parametrize("flags, compress, within", [
    ({"gzip": True}, False, 1e-9), ({"format": "csv"}, False, 1e-9),
    ({"format": "csv"}, True, 1e-9), ({"format": "criteo"}, False, 1e-9),
    ({"format": "criteo"}, True, 1e-9)])
def test_every_format_is_learnt_alike(tmp_path, synth, auc_from_records, flags, compress, within):
    auc = auc_from(tmp_path, synth, flags, compress)
    assert auc == pytest.approx(auc_from_records, abs=within)


def test_libsvm_is_learnt_alike(tmp_path, synth):
    """In LIBSVM a number is the value of an id: logistic regression without log1p is the same model."""
    optimizer = {"name": "adagrad", "learning_rate": 0.05}
    raw = {"model": "lr", "optimizer": optimizer,
           "features": [{"name": "I{1..13}", "type": "float"}, {"name": "C{1..26}", "type": "id"}]}
    ids = {"model": "lr", "optimizer": optimizer,
           "features": [{"name": "ids", "type": "id", "combiner": "sum", "weights": "values"}]}
    found = []
    for name, model, flags, compress in [("tfrecord", raw, {}, False),
                                         ("libsvm", ids, {"format": "libsvm"}, False),
                                         ("libsvm.gz", ids, {"format": "libsvm"}, True)]:
        (tmp_path / name).mkdir()
        found.append(auc_from(tmp_path / name, synth, flags, compress, model))
    assert found[0] > 0.6
    assert found[1:] == pytest.approx([found[0]] * 2, abs=0.002)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_formats_of_the_scripts(tmp_path, synth, kind):
    """dense and sparse sets by flags: the same answers from TFRecord, CSV and LIBSVM."""
    formats = ["tfrecord", "csv"] + (["libsvm"] if kind == "sparse" else [])
    predictions = set()
    for name in formats:
        folder = tmp_path / name
        folder.mkdir()
        files = synth(kind, 1000, format=name)
        flags = {} if kind == "dense" or name != "csv" else {
            "model_file": write_sparse_model(folder), "train_batch_size": 64}
        program.train(folder, train_files=files, epoch_number=2, seed=3,
                      **({"model": "lr"} if not flags else flags))
        done = program.run("predict", model_path=folder / "export", files=files, quiet=True)
        predictions.add(done.stdout)
    assert len(predictions) == 1


def write_sparse_model(folder):
    """What the flags make of ids and values, for a CSV whose columns are called so."""
    model = {"model": "lr", "loss": "softmax", "naming": "sparse_2018",
             "tables": [{"name": "input", "dim": 16, "size": 124}],
             "optimizer": {"name": "adagrad", "learning_rate": 0.02},
             "features": [{"name": "ids", "type": "id", "size": 124, "combiner": "sum",
                           "weights": "values", "table": "input"}]}
    (folder / "model.yaml").write_text(json.dumps(model))
    return folder / "model.yaml"
