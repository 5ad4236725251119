"""Checkpoints and SavedModels that TensorFlow wrote: inspect shows what is in them, training begins
from them, and the model that the scripts of 2018 left behind answers as it did."""

import json

import numpy as np
import pytest
import tensorflow as tf

import exact_metrics
import program
import story_records

ROWS, DIM = 100, 4


def written_values():
    rng = np.random.default_rng(5)
    return {
        "net/w0": rng.normal(size=(9, 6)).astype(np.float32),
        "net/b0": rng.normal(size=6).astype(np.float32),
        "net/w1": rng.normal(size=(6, 2)).astype(np.float32),
        "net/b1": rng.normal(size=2).astype(np.float32),
        "emb": rng.normal(size=(ROWS, DIM)).astype(np.float32),
        "counts": rng.integers(-(2**62), 2**62, size=(3, 2)),
        "small": rng.integers(-100, 100, size=5).astype(np.int8),
        "half": rng.normal(size=4).astype(np.float16),
        "double": rng.normal(size=()),
        "flags": np.array([True, False, True]),
        "words": np.array([b"a", b"", b"\xff\0" * 300], object),
        "empty": np.zeros((0, 3), np.float32),
    }


class Columns:
    """The values of a variable, in pieces when it is partitioned."""

    def __init__(self, value):
        self.value = value

    def __call__(self, shape, dtype=None, partition_info=None, **_):
        begin = partition_info.var_offset[0] if partition_info is not None else 0
        piece = self.value[begin:begin + int(shape[0])] if self.value.ndim else self.value
        return tf.constant(piece, dtype)


def variables(partitions):
    """Two-dimensional ones in pieces, spread over three devices."""
    for i, (name, value) in enumerate(written_values().items()):
        split = partitions > 1 and value.ndim == 2 and len(value) >= partitions
        partitioner = tf.compat.v1.fixed_size_partitioner(partitions) if split else None
        with tf.device(f"/cpu:{i % 3}"):
            made = tf.compat.v1.get_variable(
                name, shape=value.shape, dtype=tf.as_dtype(value.dtype),
                initializer=Columns(value), partitioner=partitioner)
        yield from made if split else [made]


def save(folder, partitions=1, sharded=False):
    config = tf.compat.v1.ConfigProto(device_count={"CPU": 3})
    with tf.Graph().as_default(), tf.compat.v1.Session(config=config) as session:
        session.run(tf.compat.v1.variables_initializer(list(variables(partitions))))
        saver = tf.compat.v1.train.Saver(sharded=sharded)
        return saver.save(session, str(folder / "model.ckpt"), global_step=12)


FORMS = {"plain": {}, "partitioned": {"partitions": 3}, "sharded": {"sharded": True},
         "partitioned_and_sharded": {"partitions": 2, "sharded": True}}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    return {name: save(tmp_path_factory.mktemp(name), **how) for name, how in FORMS.items()}


@pytest.mark.parametrize("form", FORMS)
def test_inspect(checkpoints, form):
    prefix = checkpoints[form]
    shown = program.inspect(prefix, values=list(written_values()), max_values=10**6)
    assert shown["shards"] == (3 if "sharded" in form else 1)
    tensors = {t["name"]: t for t in shown["tensors"]}
    values = {t["name"]: t["values"] for t in shown["values"]}
    assert tensors.keys() == written_values().keys()
    for name, value in written_values().items():
        assert tensors[name]["shape"] == list(value.shape), name
        if value.dtype != object:
            assert tensors[name]["dtype"] == value.dtype.name, name
            got = np.array(values[name], value.dtype).reshape(value.shape)
            np.testing.assert_array_equal(got, value, err_msg=name)
    text = program.run("inspect", prefix).stdout
    assert "net/w0" in text and "[9,6]" in text
    folder = program.inspect(str(prefix).rsplit("/", 1)[0])
    assert folder["newest"].endswith("model.ckpt-12")


def test_digest_is_of_the_content(checkpoints, tmp_path):
    digests = {program.digest(prefix) for prefix in checkpoints.values()}
    assert len(digests) == 1
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        value = written_values()["net/w0"]
        value[3, 3] += 1e-6
        variable = tf.compat.v1.get_variable("net/w0", initializer=value)
        session.run(variable.initializer)
        other = tf.compat.v1.train.Saver().save(session, str(tmp_path / "other"))
    assert program.digest(other) not in digests


@pytest.mark.parametrize("form", FORMS)
def test_warm_start_of_layers(checkpoints, form, tmp_path, synth):
    """One step with a learning rate that moves nothing: the weights are TensorFlow's."""
    names = {"input_layer/weights": "net/w0", "input_layer/biases": "net/b0",
             "output_layer/weights": "net/w1", "output_layer/biases": "net/b1"}
    program.train(tmp_path, train_files=synth("dense", 300), model="dnn", dnn_struct="6",
                  learning_rate=1e-30, epoch_number=1, max_steps=1, warm_start=checkpoints[form],
                  warm_start_map=[f"{ours}={theirs}" for ours, theirs in names.items()])
    reader = tf.train.load_checkpoint(str(tmp_path / "ck"))
    for ours, theirs in names.items():
        np.testing.assert_array_equal(reader.get_tensor(ours), written_values()[theirs])
    assert reader.get_tensor("global_step") == 1


def test_warm_start_of_a_table(checkpoints, tmp_path):
    """A partitioned embedding of TensorFlow's becomes a table with its row numbers as keys; `ours=`
    leaves a variable as it is."""
    model = {"model": "wide_and_deep", "deep": {"hidden": []}, "embedding": {"dim": DIM},
             "optimizer": {"name": "sgd", "learning_rate": 1e-30},
             "features": [{"name": "user", "type": "id"}]}
    (tmp_path / "model.yaml").write_text(json.dumps(model))
    rows = [{"user": [i % 7], "label": [i % 2]} for i in range(20)]
    files = story_records.write_records(tmp_path / "train.tfrecord", rows)
    ours = ["deep/output/weights=", "deep/output/biases=", "wide/biases=",
            "tables/user/wide=", "tables/user/embedding=emb"]
    program.train(tmp_path, model_file="model.yaml", train_files=files, max_steps=1,
                  warm_start=checkpoints["partitioned"], warm_start_map=ours)
    reader = tf.train.load_checkpoint(str(tmp_path / "ck"))
    table = dict(zip(reader.get_tensor("tables/user-keys"),
                     reader.get_tensor("tables/user/embedding")))
    assert sorted(table) == list(range(ROWS))
    for key, row in table.items():
        np.testing.assert_array_equal(row, written_values()["emb"][key])


def test_warm_start_says_what_is_missing(checkpoints, tmp_path, synth):
    done = program.train(tmp_path, train_files=synth("dense", 300), model="lr", exit_code=1,
                         warm_start=checkpoints["plain"])
    assert "no tensor lr/biases" in done.stderr
    done = program.train(tmp_path, train_files=synth("dense", 300), model="lr", exit_code=1,
                         warm_start=checkpoints["plain"],
                         warm_start_map="lr/biases=net/b1,lr/weights=net/w0")
    assert "net/w0 is float32 [9,6], wanted float32 [9,2]" in done.stderr
    done = program.train(tmp_path, train_files=synth("dense", 300), model="lr", exit_code=1,
                         warm_start=checkpoints["plain"],
                         warm_start_map="lr/biases=net/b1,lr/weights=,lr/weight=x")
    assert "no variable 'lr/weight', nearest is 'lr/weights'" in done.stderr
    assert not (tmp_path / "export").exists()


def test_warm_start_from_an_export_of_ours(tmp_path, synth):
    files = synth("dense", 300)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir(), second.mkdir()
    program.train(first, train_files=files, model="lr", epoch_number=1)
    program.train(second, train_files=files, model="lr", learning_rate=1e-30, max_steps=1,
                  warm_start=first / "export")
    weights = [tf.train.load_checkpoint(str(f / "ck")).get_tensor("lr/weights")
               for f in (first, second)]
    np.testing.assert_array_equal(*weights)


# The model of 2018 --------------------------------------------------------------------------------

MODEL_2018 = """
model: dnn
naming: dense_2018
loss: softmax
features: [{name: features, type: float, length: 9}]
deep: {hidden: [128, 32, 8]}
"""
GOLDEN = [  # features, class, probability of class 0
    (range(1, 10), 1, 2.946e-23),
    ([1] * 9, 0, 1.0),
    (range(9, 0, -1), 1, 0.0),
    ([9] * 9, 1, 0.0),
]


@pytest.fixture(scope="module")
def model_2018(real_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model_2018")
    (folder / "model.yaml").write_text(MODEL_2018)
    return {"checkpoint_path": real_data / "model/1/variables/variables",
            "model_file": folder / "model.yaml"}


def test_inspect_of_the_2018_model(real_data):
    text = program.run("inspect", real_data / "model" / "1").stdout
    assert "signature serving_default (tensorflow/serving/predict)" in text
    for words in ["keys int32 [-1,1] keys:0", "features float32 [-1,9] features:0",
                  "prediction int64 [-1] inference_prediction:0",
                  "softmax float32 [-1,2] inference_softmax:0"]:
        assert words in " ".join(text.split()), words
    shown = program.inspect(real_data / "minimal_model/model/00000001/export",
                            values=["weight", "bias"])
    for tensor in shown["values"]:
        np.testing.assert_allclose(tensor["values"], 0.5030233, rtol=1e-6)


def test_golden_answers_of_the_2018_model(model_2018, real_data, tmp_path):
    rows = np.array([list(features) for features, _, _ in GOLDEN], np.float32)
    lines = [",".join(f"{x:g}" for x in row) + ",0" for row in rows]
    (tmp_path / "asked.csv").write_text("\n".join(lines) + "\n")
    flags = {"files": tmp_path / "asked.csv", "quiet": True, **model_2018}
    text = program.run("predict", output_format="script", **flags).stdout
    softmax = np.array([[float(x) for x in line.split(",")] for line in text.splitlines()])
    assert softmax.argmax(1).tolist() == [wanted for _, wanted, _ in GOLDEN]
    np.testing.assert_allclose(softmax[:, 0], [p for _, _, p in GOLDEN], rtol=1e-3, atol=1e-36)
    np.testing.assert_allclose(softmax[1, 1], 0, atol=1e-36)

    program.run("export", model_path=tmp_path / "export", **model_2018)
    keys = tf.range(len(rows))[:, None]
    answers = []
    for path in [real_data / "model" / "1", tmp_path / "export" / "1"]:
        loaded = tf.saved_model.load(str(path), tags=["serve"])
        outputs = loaded.signatures["serving_default"](keys=keys, features=tf.constant(rows))
        answers.append(outputs["softmax"].numpy())
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-3, atol=1e-36)
    np.testing.assert_allclose(softmax, answers[0], rtol=1e-3, atol=1e-36)


@pytest.mark.parametrize("name, accuracy", [("cancer_train", 0.9437), ("cancer_test", 0.9007)])
def test_evaluate_of_the_2018_model(model_2018, real_data, name, accuracy):
    table = np.loadtxt(real_data / f"data/cancer/{name}.csv", delimiter=",")
    features, labels = table[:, :9].astype(np.float32), table[:, 9].astype(int)
    loaded = tf.saved_model.load(str(real_data / "model" / "1"), tags=["serve"])
    keys = tf.range(len(table))[:, None]
    serve = loaded.signatures["serving_default"]
    softmax = serve(keys=keys, features=tf.constant(features))["softmax"].numpy()
    auc = exact_metrics.auc(softmax[:, 1], labels, np.ones(len(labels)))
    log_loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels, logits_of_2018(real_data, features))).numpy()
    for file in [f"{name}.csv", f"{name}.csv.tfrecords"]:
        got = program.evaluate(files=real_data / "data/cancer" / file, **model_2018)
        assert got["accuracy"] == pytest.approx(accuracy, abs=1e-4)
        # Hundreds of probabilities are equal or not by the last bit of an exponential.
        assert got["auc"] == pytest.approx(auc, abs=2e-3)
        assert got["log_loss"] == pytest.approx(log_loss, rel=1e-4)


def logits_of_2018(real_data, features):
    """The softmax in single precision is 0 or 1 for most: the loss wants what is before it."""
    reader = tf.train.load_checkpoint(str(real_data / "model/1/variables/variables"))
    x = tf.constant(features)
    for scope in ["input_layer", "layer_0", "layer_1", "output_layer"]:
        x = x @ reader.get_tensor(f"{scope}/weights") + reader.get_tensor(f"{scope}/biases")
        x = x if scope == "output_layer" else tf.nn.relu(x)
    return x
