"""Exported graphs in real TensorFlow: every model kind and feature type, three loaders, checkpoints.

The program export_probe writes a SavedModel and a checkpoint with weights out of a hat; numpy
(graph_reference.py) says what TensorFlow must answer. CAPSTAN_BUILD: the build folder.
"""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2

import graph_reference
import tensorflow_c

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CAPSTAN_BUILD", ROOT / "build"))
PROBE = BUILD / "tests" / "export_probe"
TOLERANCE = 1e-5

PRICE = {"name": "price", "type": "float", "log1p": True, "default": 2.5}
VECTOR = {"name": "vector", "type": "float", "length": 3, "standardise": True,
          "mean": [0.1, -0.2, 0.3], "stddev": [0.5, 2.0, 1.5]}
USER = {"name": "user", "type": "id", "default_id": 4}
CITY = {"name": "city", "type": "hash"}
TAGS = {"name": "tags", "type": "id", "combiner": "sum"}
BASE = [PRICE, VECTOR, USER, CITY, TAGS]
WORDS = [f"w{i}" for i in range(12)]

# Several features read one column in different forms: price (two defaults), city, tags.
EVERY_TYPE = BASE + [
    {"name": "price_bucket", "column": "price", "type": "bucket", "boundaries": [-1, 0, 1.5, 3],
     "default": 0.5},
    {"name": "item", "type": "id", "size": 40, "table": "items"},
    {"name": "home", "type": "hash", "column": "city", "buckets": 40, "table": "places"},
    {"name": "kind", "type": "vocabulary", "vocabulary": WORDS},
    {"name": "words_mean", "column": "words", "type": "hash", "combiner": "mean", "buckets": 45,
     "table": "places"},
    {"name": "words_sqrtn", "column": "words", "type": "vocabulary", "vocabulary": WORDS,
     "combiner": "sqrtn"},
    {"name": "tags_sum", "column": "tags", "weights": "tag_weights", "type": "id",
     "combiner": "sum", "table": "tags"},
    {"name": "tags_mean", "column": "tags", "weights": "tag_weights", "type": "id",
     "combiner": "mean", "table": "tags"},
    {"name": "tags_sqrtn", "column": "tags", "weights": "tag_weights", "type": "id",
     "combiner": "sqrtn", "table": "small"},
    {"name": "first_tag", "column": "tags_single", "type": "id", "deep": False},
    {"name": "user_city", "type": "cross", "of": ["user", "city"], "buckets": 60},
    {"name": "three", "type": "cross", "of": ["price_bucket", "kind", "item"], "buckets": 60,
     "wide": False},
]
TABLES = [{"name": "items", "dim": 3, "size": 40}, {"name": "small", "dim": 5, "size": 20}]
DEEP = {"hidden": [8, 6]}
NORM = {"hidden": [8, 6], "batch_norm": True, "batch_norm_output": True, "bn_epsilon": 0.01}
DENSE_2018 = {"naming": "dense_2018", "loss": "softmax",
              "features": [{"name": "features", "type": "float", "length": 9}]}
SPARSE_2018 = {"naming": "sparse_2018", "loss": "softmax",
               "tables": [{"name": "input", "dim": 8, "size": 30}],
               "features": [{"name": "ids", "type": "id", "size": 30, "weights": "values",
                             "combiner": "sum", "table": "input"}]}

CASES = {
    "lr": {"model": "lr", "features": BASE},
    "lr_floats_only": {"model": "lr", "features": [PRICE, VECTOR]},
    "lr_lists_only": {"model": "lr", "features": [TAGS]},
    "lr_softmax": {"model": "lr", "loss": "softmax", "classes": 4, "features": BASE},
    "dnn": {"model": "dnn", "features": BASE, "deep": DEEP},
    "dnn_norm": {"model": "dnn", "features": BASE, "deep": NORM},
    "dnn_square": {"model": "dnn", "loss": "mean_square", "features": BASE, "deep": DEEP},
    "wide_and_deep": {"model": "wide_and_deep", "features": BASE, "deep": DEEP},
    "every_type": {"model": "wide_and_deep", "features": EVERY_TYPE, "tables": TABLES,
                   "deep": DEEP},
    "softmax": {"model": "wide_and_deep", "loss": "softmax", "classes": 3, "features": BASE,
                "deep": DEEP},
    "fm": {"model": "fm", "features": BASE},
    "fm_no_floats": {"model": "fm", "features": [USER, CITY, TAGS]},
    "deepfm": {"model": "deepfm", "features": BASE, "deep": DEEP},
    "dlrm": {"model": "dlrm", "features": BASE, "deep": DEEP, "embedding": {"dim": 7},
             "bottom": {"hidden": [5, 7]}},
    "dense_2018_lr": {"model": "lr", **DENSE_2018},
    "dense_2018_dnn": {"model": "dnn", "deep": NORM, **DENSE_2018},
    "dense_2018_both": {"model": "wide_and_deep", "deep": DEEP, **DENSE_2018},
    "dense_2018_sigmoid": {"model": "wide_and_deep", "deep": DEEP, **DENSE_2018,
                           "loss": "sigmoid"},
    "dense_2018_square": {"model": "dnn", "deep": DEEP, **DENSE_2018, "loss": "mean_square"},
    "sparse_2018_lr": {"model": "lr", **SPARSE_2018},
    "sparse_2018_dnn": {"model": "dnn", "pooled_first_layer": True, "deep": {"hidden": [6]},
                        **SPARSE_2018},
    "sparse_2018_both": {"model": "wide_and_deep", "pooled_first_layer": True,
                         "deep": {"hidden": [6, 4]}, **SPARSE_2018},
    # Names that nodes cannot have, or that other nodes have: the keys of signatures stay as they are.
    "odd_names": {"model": "wide_and_deep", "deep": DEEP, "features": [
        {"name": "größe", "column": "price", "type": "float"},
        {"name": "_user", "column": "user", "type": "id"},
        {"name": "prediction", "column": "city", "type": "hash", "buckets": 50},
        {"name": "city/hash", "column": "city", "type": "hash", "buckets": 50},
        {"name": "city", "type": "hash", "buckets": 50},
        {"name": "examples", "column": "item", "type": "id"}]},
    "empty_tables": {"model": "wide_and_deep", "features": BASE, "deep": DEEP},
}


def make_rows(count):
    """Values with rows and without, missing columns, empty lists at both ends."""
    rng = np.random.default_rng(3)
    ids = [2**63 - 1, -(2**63), -1] + list(range(60))
    rows = []
    for i in range(count):
        n, m = int(rng.integers(0, 4)), int(rng.integers(0, 4))
        if i == count - 1:
            n = m = 0
        row = {
            "price": [float(np.float32(rng.normal() * 3))],
            "vector": [float(v) for v in rng.normal(size=3).astype(np.float32)],
            "features": [float(v) for v in rng.integers(1, 11, size=9)],
            "user": [int(rng.choice(ids))],
            "city": [f"w{rng.integers(0, 24)}"],
            "item": [int(rng.integers(0, 60)) - 5],
            "kind": [f"w{rng.integers(0, 16)}"],
            "tags": [int(v) for v in rng.choice(ids, size=n)],
            "tag_weights": [float(v) for v in rng.random(n).astype(np.float32) + np.float32(0.1)],
            "tags_single": [int(rng.integers(0, 60))],
            "words": [f"w{v}" for v in rng.integers(0, 24, size=m)],
            "ids": [int(v) for v in rng.integers(0, 34, size=n)],
            "values": [float(v) for v in rng.normal(size=n).astype(np.float32)],
        }
        if i % 4 == 3:
            row = {k: v for k, v in row.items() if k in ("vector", "features")}
        rows.append(row)
    return rows


def example(row):
    proto = tf.train.Example()
    for name, values in row.items():
        feature = proto.features.feature[name]
        if not values:
            continue
        if isinstance(values[0], float):
            feature.float_list.value.extend(values)
        elif isinstance(values[0], int):
            feature.int64_list.value.extend(values)
        else:
            feature.bytes_list.value.extend(v.encode() for v in values)
    return proto.SerializeToString()


def examples_of(rows):
    return np.array([example(row) for row in rows], dtype=object)


KEYS = np.arange(100, dtype=np.int32)[:, None]


def plain_inputs(model, rows):
    naming = model.get("naming")
    feeds = {}
    if naming == "sparse_2018":
        pairs = [(i, j) for i, row in enumerate(rows) for j in range(len(row.get("ids", [])))]
        return {
            "keys": KEYS[: len(rows)],
            "indexs": np.array(pairs, np.int64).reshape(-1, 2),
            "ids": np.array([v for row in rows for v in row.get("ids", [])], np.int64),
            "values": np.array([v for row in rows for v in row.get("values", [])], np.float32),
            "shape": np.array([len(rows), 30], np.int64),
        }
    if naming == "dense_2018":
        feeds["keys"] = KEYS[: len(rows)]
    for f in model["features"]:
        kind, name, column = f["type"], f["name"], graph_reference.column_of(f)
        dtype = {"float": np.float32, "bucket": np.float32, "id": np.int64}.get(kind, object)
        if kind == "cross":
            continue
        if "combiner" in f:
            lists = [row.get(column, []) for row in rows]
            feeds[name] = np.array([v for values in lists for v in values], dtype)
            feeds[f"{name}_row_splits"] = np.cumsum([0] + [len(v) for v in lists], dtype=np.int64)
            if "weights" in f:
                weights = [w for row in rows for w in row.get(f["weights"], [])]
                feeds[f"{name}_weights"] = np.array(weights, np.float32)
        elif kind == "float":
            length = f.get("length", 1)
            missing = [f.get("default", 0.0)] * length
            values = np.array([row.get(column, missing) for row in rows], dtype)
            feeds[name] = values.reshape(-1, length)
        else:
            feeds[name] = np.array([graph_reference.single_value(f, row) for row in rows], dtype)
    return feeds


class Export:
    """What the probe wrote for one case."""

    def __init__(self, name, folder):
        self.model = CASES[name]
        self.folder = folder
        self.saved_model = str(folder / "export")
        self.checkpoint = str(folder / "model.ckpt")
        text = folder / "model.yaml"
        text.write_text(json.dumps(self.model))
        flags = ["--empty"] if name.startswith("empty") else []
        subprocess.run([PROBE, text, folder, *flags], check=True)
        reader = tf.train.load_checkpoint(self.saved_model + "/variables/variables")
        weights = {k: reader.get_tensor(k) for k in reader.get_variable_to_shape_map()}
        self.reference = graph_reference.Reference(self.model, weights)

    @property
    def is_2018(self):
        return "naming" in self.model

    def check(self, outputs, rows):
        """outputs of a predict signature, as arrays."""
        scores = self.reference.scores(rows)
        loss = self.reference.loss
        if loss == "mean_square":
            assert outputs["prediction"].shape == (len(rows), 1)
            np.testing.assert_allclose(
                outputs["prediction"], scores, rtol=TOLERANCE, atol=TOLERANCE)
            return
        if self.is_2018:
            answer, wanted = outputs["softmax"], scores
        else:
            answer, wanted = outputs["probability"], scores[:, 1:] if loss == "sigmoid" else scores
        assert answer.shape == wanted.shape
        np.testing.assert_allclose(answer, wanted, atol=TOLERANCE)
        np.testing.assert_array_equal(outputs["prediction"], scores.argmax(1))
        assert outputs["prediction"].dtype == np.int64


@pytest.fixture(scope="module", params=list(CASES))
def export(request, tmp_path_factory):
    return Export(request.param, tmp_path_factory.mktemp(request.param))


def call(loaded, signature, feeds):
    tensors = {
        k: tf.constant(v, tf.string if v.dtype == object else None) for k, v in feeds.items()
    }
    return {k: v.numpy() for k, v in loaded.signatures[signature](**tensors).items()}


@pytest.mark.parametrize("count", [9, 1, 0])
def test_v2(export, count):
    loaded = tf.saved_model.load(export.saved_model)
    rows = make_rows(count)
    plain = call(loaded, "serving_default", plain_inputs(export.model, rows))
    export.check(plain, rows)
    if export.is_2018:
        np.testing.assert_array_equal(plain["keys"], KEYS[:count])
    examples = examples_of(rows)
    export.check(call(loaded, "predict_examples", {"examples": examples}), rows)
    check_classify_and_regress(export, loaded, rows)
    assert len(loaded.variables) > 0


def check_classify_and_regress(export, loaded, rows):
    scores = export.reference.scores(rows)
    feeds = {"inputs": examples_of(rows)}
    classes = export.reference.classes
    if export.reference.loss == "mean_square":
        assert "classify" not in loaded.signatures
        answer = call(loaded, "regress", feeds)["outputs"]
        np.testing.assert_allclose(answer, scores, rtol=TOLERANCE, atol=TOLERANCE)
        return
    outputs = call(loaded, "classify", feeds)
    np.testing.assert_allclose(outputs["scores"], scores, atol=TOLERANCE)
    assert outputs["classes"].tolist() == [[str(c).encode() for c in range(classes)]] * len(rows)
    if classes == 2:
        answer = call(loaded, "regress", feeds)["outputs"]
        np.testing.assert_allclose(answer, scores[:, 1:], atol=TOLERANCE)
    else:
        assert "regress" not in loaded.signatures


@pytest.mark.parametrize("export", [n for n in CASES if "2018" not in n], indirect=True)
def test_single_values_as_columns(export):
    """[batch, 1] is taken where the signature says [batch], and the other way round."""
    rows = make_rows(5)
    feeds = plain_inputs(export.model, rows)
    for f in export.model["features"]:
        if f["type"] != "cross" and "combiner" not in f and f.get("length", 1) == 1:
            value = feeds[f["name"]]
            feeds[f["name"]] = value[:, 0] if value.ndim == 2 else value[:, None]
    loaded = tf.saved_model.load(export.saved_model)
    export.check(call(loaded, "serving_default", feeds), rows)


def test_v1(export):
    rows = make_rows(9)
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], export.saved_model)
        for signature, feeds in [
            ("serving_default", plain_inputs(export.model, rows)),
            ("predict_examples", {"examples": examples_of(rows)}),
        ]:
            proto = meta.signature_def[signature]
            outputs = session.run(
                {k: v.name for k, v in proto.outputs.items()},
                {proto.inputs[k].name: v for k, v in feeds.items()},
            )
            export.check(outputs, rows)
        for key, proto in meta.signature_def.items():
            if not key.startswith("__"):
                assert tf.compat.v1.saved_model.is_valid_signature(proto), key


def test_c(export):
    rows = make_rows(9)
    saved = pathlib.Path(export.saved_model, "saved_model.pb").read_bytes()
    meta = saved_model_pb2.SavedModel.FromString(saved).meta_graphs[0]
    with tensorflow_c.Session(export.saved_model) as session:
        for signature, feeds in [
            ("serving_default", plain_inputs(export.model, rows)),
            ("predict_examples", {"examples": examples_of(rows)}),
        ]:
            signature = meta.signature_def[signature]
            keys = list(signature.outputs)
            arrays = session.run(
                {signature.inputs[k].name: v for k, v in feeds.items()},
                [signature.outputs[k].name for k in keys],
            )
            export.check(dict(zip(keys, arrays)), rows)


def test_checkpoint(export, tmp_path):
    """.meta: import, restore, run, save; restore what was saved."""
    rows = make_rows(9)
    examples = examples_of(rows)
    answer = "prediction"
    if export.reference.loss != "mean_square":
        answer = "softmax" if export.is_2018 else "probability"

    def outputs(session):
        names = {"prediction": "prediction:0", answer: f"{answer}:0"}
        return session.run(names, {"examples:0": examples})

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        saver = tf.compat.v1.train.import_meta_graph(export.checkpoint + ".meta")
        saver.restore(session, export.checkpoint)
        export.check(outputs(session), rows)
        saver.restore(session, export.checkpoint)
        step = tf.compat.v1.train.get_global_step()
        assert session.run(step) == 1234
        saved = saver.save(session, str(tmp_path / "again"), global_step=step)
        assert saved.endswith("again-1234")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        saver = tf.compat.v1.train.import_meta_graph(saved + ".meta")
        saver.restore(session, saved)
        export.check(outputs(session), rows)


def test_graph_text(export):
    graph_def = text_format.Parse(
        (export.folder / "graph.pbtxt").read_text(), tf.compat.v1.GraphDef())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        assert graph.get_operation_by_name("save/restore_all")


@pytest.mark.parametrize("export", [n for n in CASES if n != "odd_names"], indirect=True)
def test_saved_again(export, tmp_path):
    """tf.saved_model.save(load(x)): what a TensorFlow user does with a model of ours. (TensorFlow
    does not save signatures again whose keys are no identifiers.)"""
    loaded = tf.saved_model.load(export.saved_model)
    tf.saved_model.save(loaded, str(tmp_path / "again"), signatures=dict(
        (k, v) for k, v in loaded.signatures.items() if not k.startswith("__")))
    again = tf.saved_model.load(str(tmp_path / "again"))
    rows = make_rows(9)
    export.check(call(again, "predict_examples", {"examples": examples_of(rows)}), rows)


def test_restoring_another_checkpoint(tmp_path_factory):
    """Two checkpoints of one model with different keys, one after another in one session."""
    full = Export("wide_and_deep", tmp_path_factory.mktemp("full"))
    empty = Export("empty_tables", tmp_path_factory.mktemp("empty"))
    rows = make_rows(9)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        saver = tf.compat.v1.train.import_meta_graph(full.checkpoint + ".meta")
        for export in [full, empty, full]:
            saver.restore(session, export.checkpoint)
            outputs = session.run(
                {"prediction": "prediction:0", "probability": "probability:0"},
                {"examples:0": examples_of(rows)},
            )
            export.check(outputs, rows)
