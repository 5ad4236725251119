"""Each model kind from records to answers: train, export, predict, evaluate, and TensorFlow says the
same of the same records, from the SavedModel and from the checkpoint."""

import csv
import functools
import io
import json

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format

import exact_metrics
import program
import story_records

TOLERANCE = 1e-5

PRICE = {"name": "price", "type": "float", "log1p": True, "default": 2.5}
VECTOR = {"name": "vector", "type": "float", "length": 3, "standardise": True}
USER = {"name": "user", "type": "id", "default_id": 4}
CITY = {"name": "city", "type": "hash"}
TAGS = {"name": "tags", "type": "id", "combiner": "sum"}
BASE = [PRICE, VECTOR, USER, CITY, TAGS]
EVERY_TYPE = BASE + [
    {"name": "price_bucket", "column": "price", "type": "bucket", "boundaries": [-1, 0, 1.5, 3],
     "default": 0.5},
    {"name": "item", "type": "id", "size": 40, "table": "items"},
    {"name": "home", "type": "hash", "column": "city", "buckets": 40, "table": "places"},
    {"name": "kind", "type": "vocabulary", "vocabulary": story_records.KINDS},
    {"name": "words_mean", "column": "words", "type": "hash", "combiner": "mean", "buckets": 45,
     "table": "places"},
    {"name": "words_sqrtn", "column": "words", "type": "vocabulary",
     "vocabulary": story_records.KINDS, "combiner": "sqrtn"},
    {"name": "tags_mean", "column": "tags", "weights": "tag_weights", "type": "id",
     "combiner": "mean", "table": "tags"},
    {"name": "tags_sqrtn", "column": "tags", "weights": "tag_weights", "type": "id",
     "combiner": "sqrtn", "dim": 5},
    {"name": "user_kind", "type": "cross", "of": ["user", "kind"], "buckets": 60},
    {"name": "three", "type": "cross", "of": ["price_bucket", "kind", "item"], "wide": False},
]
DEEP = {"hidden": [8, 6]}
FTRL = {"name": "ftrl", "learning_rate": 0.05, "l1": 0.001}

MODEL_FILES = {
    "lr": {"model": "lr", "features": BASE, "optimizer": {"name": "ftrl", "learning_rate": 0.1}},
    "dnn": {"model": "dnn", "features": BASE, "optimizer": "adam",
            "deep": {**DEEP, "batch_norm": True}},
    "wide_and_deep": {"model": "wide_and_deep", "features": EVERY_TYPE, "deep": DEEP,
                      "tables": [{"name": "items", "dim": 3, "size": 40}],
                      "wide": {"optimizer": FTRL}},
    "fm": {"model": "fm", "features": BASE, "embedding": {"dim": 4}},
    "deepfm": {"model": "deepfm", "features": BASE, "embedding": {"dim": 4},
               "deep": {**DEEP, "dropout": 0.2}},
    "dlrm": {"model": "dlrm", "features": BASE, "embedding": {"dim": 7}, "optimizer": "momentum",
             "bottom": {"hidden": [5, 7]}, "deep": DEEP},
    "softmax_of_3": {"model": "wide_and_deep", "features": BASE, "deep": DEEP, "loss": "softmax",
                     "classes": 3, "label": "species"},
    "regression": {"model": "wide_and_deep", "features": BASE, "deep": DEEP, "label": "amount",
                   "loss": "mean_square", "optimizer": {"name": "rmsprop"}},
    "weights_and_groups": {"model": "wide_and_deep", "features": BASE, "deep": DEEP,
                           "example_weight": "weight", "group": "session", "ids": ["row_id"]},
    "admission_and_expiry": {"model": "deepfm", "features": BASE, "deep": DEEP, "embedding":
                             {"dim": 4, "admission_count": 4, "expiry_steps": 20}},
    "row_wise": {"model": "wide_and_deep", "features": BASE, "deep": DEEP,
                 "optimizer": "rowwise_adagrad"},
}
DENSE, SPARSE = {"naming": "dense_2018"}, {"naming": "sparse_2018"}
IDS = {"name": "ids", "type": "id", "weights": "values", "combiner": "sum"}
BY_FLAGS = {  # the kind of data, what serving_default wants, flags
    "dense_lr": ("dense", DENSE, {"model": "lr"}),
    "dense_dnn": ("dense", DENSE, {"model": "dnn", "enable_bn": True}),
    "dense_both": ("dense", DENSE, {"model": "wide_and_deep", "class_weights": "1,2.5"}),
    "dense_customized": ("dense", DENSE, {"model": "customized", "enable_dropout": True}),
    "dense_sigmoid": ("dense", DENSE, {"model": "wide_and_deep", "loss": "sigmoid"}),
    "dense_square": ("dense", {**DENSE, "loss": "mean_square"}, {"scenario": "regression"}),
    "sparse_lr": ("sparse", SPARSE, {"model": "lr"}),
    "sparse_dnn": ("sparse", SPARSE, {"model": "dnn", "model_network": "16 8"}),
    "sparse_both": ("sparse", SPARSE, {"model": "wide_and_deep", "enable_bn": True}),
    "sparse_customized": ("sparse", SPARSE, {"model": "customized", "enable_dropout": True}),
    "sparse_fm": ("sparse", {"features": [IDS]}, {"model": "fm"}),
    "sparse_deepfm": ("sparse", {"features": [IDS]}, {"model": "deepfm"}),
}


class Story:
    """One trained model: folder/ck, folder/export, and the records that it is asked about."""

    def __init__(self, name, folder, synth):
        self.folder = folder
        if name in MODEL_FILES:
            self.model = MODEL_FILES[name]
            (folder / "model.yaml").write_text(json.dumps(self.model))
            train = folder / "train.tfrecord"
            story_records.write_records(train, story_records.make_rows(700, 1))
            self.files = folder / "asked.tfrecord"
            story_records.write_records(self.files, story_records.make_rows(150, 2, unseen=True))
            flags = {"model_file": folder / "model.yaml", "train_batch_size": 50,
                     "epoch_number": 3}
        else:
            kind, self.model, flags = BY_FLAGS[name]
            train = synth(kind, 1000)
            self.files = synth(kind, 120, first_row=5000)
            flags = {**flags, "epoch_number": 3}
        self.done = program.train(folder, train_files=train, seed=7, **flags)
        self.export = folder / "export" / "1"
        self.checkpoint = program.newest_checkpoint(folder / "ck")
        self.records = np.array(story_records.read_records(self.files), object)
        self.rows = [story_records.parse(record) for record in self.records]
        self.loss = self.model.get("loss", "sigmoid")
        self.class_weights = np.array([1, 2.5] if "class_weights" in flags else [1.0] * 9)

    @functools.cached_property
    def loaded(self):
        return tf.saved_model.load(str(self.export))

    @functools.cached_property
    def answers(self):
        """Outputs of predict_examples in TensorFlow."""
        return call(self.loaded, "predict_examples", {"examples": self.records})

    def predict(self, output_format, **source):
        source = source or {"model_path": self.export}
        flags = {"files": self.files, "quiet": True, "output_format": output_format, **source}
        return program.run("predict", **flags).stdout

    def csv_scores(self, **source):
        """[examples, classes], for regression [examples, 1]; and the predictions."""
        table = list(csv.DictReader(io.StringIO(self.predict("csv", **source))))
        predictions = np.array([float(line["prediction"]) for line in table])
        if self.loss == "mean_square":
            return predictions[:, None], predictions
        if "probability" in table[0]:
            p = np.array([[float(line["probability"])] for line in table])
            return np.concatenate([1 - p, p], 1), predictions
        names = [name for name in table[0] if name.startswith("probability_")]
        return np.array([[float(line[name]) for name in names] for line in table]), predictions

    def scores_of(self, outputs):
        """The same of a signature's outputs."""
        if self.loss == "mean_square":
            return outputs["prediction"]
        if "softmax" in outputs:
            return outputs["softmax"]
        p = outputs["probability"]
        return np.concatenate([1 - p, p], 1) if p.shape[1] == 1 else p

    def labels(self):
        return np.array([row[self.model.get("label", "label")][0] for row in self.rows])


@pytest.fixture(scope="module", params=[*MODEL_FILES, *BY_FLAGS])
def story(request, tmp_path_factory, synth):
    return Story(request.param, tmp_path_factory.mktemp(request.param), synth)


def call(loaded, signature, inputs):
    tensors = {
        k: tf.constant(v, tf.string if v.dtype == object else None) for k, v in inputs.items()
    }
    return {k: v.numpy() for k, v in loaded.signatures[signature](**tensors).items()}


def check(scores, wanted):
    np.testing.assert_allclose(scores, wanted, rtol=TOLERANCE, atol=TOLERANCE)


def test_signatures_answer_as_predict(story):
    scores, predictions = story.csv_scores()
    assert len(np.unique(scores)) > len(scores) / 10  # the model learnt something to compare
    loaded = story.loaded
    inputs = story_records.signature_inputs(story.model, story.rows)
    plain = call(loaded, "serving_default", inputs)
    for outputs in [plain, story.answers]:
        check(story.scores_of(outputs), scores)
        if story.loss != "mean_square":
            np.testing.assert_array_equal(outputs["prediction"], predictions)
    if "keys" in inputs:
        np.testing.assert_array_equal(plain["keys"], inputs["keys"])
    if story.loss == "mean_square":
        check(call(loaded, "regress", {"inputs": story.records})["outputs"], scores)
        return
    outputs = call(loaded, "classify", {"inputs": story.records})
    check(outputs["scores"], scores)
    assert outputs["classes"][0].tolist() == [str(c).encode() for c in range(scores.shape[1])]
    if scores.shape[1] == 2:
        check(call(loaded, "regress", {"inputs": story.records})["outputs"], scores[:, 1:])


def test_every_output_format_says_the_same(story):
    scores, predictions = story.csv_scores()
    lines = [json.loads(line) for line in story.predict("json").splitlines()]
    np.testing.assert_array_equal([line["prediction"] for line in lines], predictions)
    path = story.folder / "predictions.tfrecord"
    story.predict("tfrecord", output=path, model_path=story.export)
    rows = [story_records.parse(record) for record in story_records.read_records(path)]
    np.testing.assert_array_equal([row["prediction"][0] for row in rows],
                                  predictions.astype(np.float32))
    text = np.loadtxt(io.StringIO(story.predict("script")), delimiter=",", ndmin=2)
    check(text, scores)
    if story.loss != "mean_square":
        listed = np.float32([np.ravel(line["probability"]) for line in lines])
        np.testing.assert_array_equal(listed, [np.float32(row["probability"]) for row in rows])
        check(listed[:, -1], scores[:, -1])
    if "ids" in story.model:
        ids = [row["row_id"] for row in story.rows]
        assert [row["row_id"] for row in rows] == ids
        assert [[line["row_id"]] for line in lines] == ids


def test_checkpoint_answers_as_export(story):
    scores, _ = story.csv_scores()
    np.testing.assert_array_equal(story.csv_scores(checkpoint_path=story.folder / "ck")[0], scores)
    again = story.folder / "exported_again"
    program.run("export", checkpoint_path=story.checkpoint, model_path=again)
    assert program.digest(again / "1") == program.digest(story.export)


def test_evaluate_agrees_with_tensorflow(story):
    got = program.evaluate(model_path=story.export, files=story.files)
    scores, labels = story.scores_of(story.answers).astype(np.float64), story.labels()
    weights, groups = np.ones(len(labels)), None
    if "group" in story.model:
        weights = np.array([row["weight"][0] for row in story.rows])
        groups = np.array([row["session"][0] for row in story.rows])
    if story.loss == "mean_square":
        wanted = exact_metrics.regression(scores[:, 0], labels)
    else:
        wanted = exact_metrics.classification(scores, labels, weights, groups)
        class_weights = weights * story.class_weights[labels]
        wanted["loss"] = exact_metrics.cross_entropy(scores, labels, class_weights)
        cross_entropy = tf.keras.metrics.SparseCategoricalCrossentropy()
        cross_entropy.update_state(labels, scores, weights)
        np.testing.assert_allclose(got["log_loss"], cross_entropy.result(), rtol=1e-4)
        if scores.shape[1] == 2:
            auc = tf.keras.metrics.AUC(num_thresholds=5000)
            auc.update_state(labels, scores[:, 1], weights)
            np.testing.assert_allclose(got["auc"], auc.result(), atol=2e-3)
    assert got.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-4, err_msg=name)


def test_checkpoint_in_tensorflow(story):
    reader = tf.train.load_checkpoint(str(story.folder / "ck"))
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    ours = {t["name"]: t for t in program.inspect(story.checkpoint)["tensors"]}
    assert shapes == {name: t["shape"] for name, t in ours.items()}
    numbers = [name for name in shapes if dtypes[name] != tf.string]
    shown = program.inspect(story.checkpoint, values=numbers, max_values=10**6)["values"]
    assert sorted(tensor["name"] for tensor in shown) == sorted(numbers)
    for tensor in shown:
        theirs = reader.get_tensor(tensor["name"])
        values = np.array(tensor["values"], theirs.dtype).reshape(theirs.shape)
        np.testing.assert_array_equal(values, theirs, err_msg=tensor["name"])
    assert str(story.checkpoint).endswith(f"-{reader.get_tensor('global_step')}")


def test_graph_of_the_checkpoint(story):
    """What a user of TensorFlow 1 does: import the meta graph, restore, run."""
    scores, _ = story.csv_scores()
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        saver = tf.compat.v1.train.import_meta_graph(str(story.checkpoint) + ".meta")
        saver.restore(session, str(story.checkpoint))
        name = "prediction" if story.loss == "mean_square" else "probability"
        if story.model.get("naming") and name == "probability":
            name = "softmax"
        outputs = session.run({name: f"{name}:0"}, {"examples:0": story.records})
        check(story.scores_of(outputs), scores)
        nodes = {node.name for node in graph.as_graph_def().node}
    text = (story.folder / "ck" / "graph.pbtxt").read_text()
    graph_def = text_format.Parse(text, tf.compat.v1.GraphDef())
    assert {node.name for node in graph_def.node} == nodes
