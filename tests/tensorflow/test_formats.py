"""TensorFlow and TensorBoard read what we write, and we read what TensorFlow writes.

The program format_probe (CAPSTAN_BUILD: the build folder) writes files, and copies files by reading
and writing everything in them.
"""

import os
import pathlib
import socket
import subprocess

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CAPSTAN_BUILD", ROOT / "build"))


def probe(*words):
    program = BUILD / "tests" / "format_probe"
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def tensors_of(prefix):
    reader = tf.train.load_checkpoint(str(prefix))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def assert_same_tensors(ours, theirs):
    assert sorted(ours) == sorted(theirs)
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)
        assert getattr(ours[name], "dtype", None) == getattr(value, "dtype", None), name


def save(prefix, build, **saver_options):
    """Saves the variables that `build` makes, with TensorFlow 1's saver."""
    with tf.Graph().as_default(), v1.Session() as session:
        build()
        session.run(v1.global_variables_initializer())
        v1.train.Saver(v1.global_variables(), **saver_options).save(session, str(prefix))
    return prefix


def test_tensorflow_reads_our_bundle(tmp_path):
    probe("write_bundle", tmp_path / "model.ckpt-7")
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-7")
    tensors = tensors_of(tmp_path / "model.ckpt-7")
    assert len(tensors) == 3007
    whole = np.arange(24, dtype=np.float32).reshape(6, 4)
    np.testing.assert_array_equal(tensors["rows"], whole)
    np.testing.assert_array_equal(tensors["columns"], whole)
    limits = np.iinfo(np.int64)
    assert tensors["ids"].tolist() == [[-1, 0], [limits.max, limits.min]]
    assert tensors["step"] == 0
    assert tensors["texts"].tolist() == [b"", b"text", b"\0\xff", b"x" * 1000]
    assert tensors["empty"].shape == (0, 3)
    assert tensors["flags"].tolist() == [True, False]
    for i in range(3000):
        assert tensors[f"many/layers/of/a/network/{i}"].tolist() == [i]


def test_plain_bundle_of_tensorflow_is_the_same_bytes(tmp_path):
    generator = np.random.default_rng(1)
    names = sorted(f"layer_{i}/kernel_of_a_network" for i in range(9000))  # several index blocks
    values = [generator.standard_normal(i % 5).astype(np.float32) for i in range(len(names))]
    extra = {"z_empty": np.zeros((0, 3), np.float64), "z_flags": np.array([True, False]),
             "z_half": np.arange(5).astype(np.float16), "z_ids": np.array([[-1], [1 << 62]]),
             "z_int8": np.array([-7], np.int8), "z_scalar": np.int64(7),
             "z_texts": np.array([b"a", b"", b"\xff\0" * 200], object)}
    names += list(extra)
    values += list(extra.values())
    with tf.Graph().as_default(), v1.Session() as session:
        session.run(tf.raw_ops.SaveV2(prefix=str(tmp_path / "theirs"), tensor_names=names,
                                      shape_and_slices=[""] * len(names), tensors=values))
    probe("copy_bundle", tmp_path / "theirs", tmp_path / "ours")
    assert_same_tensors(tensors_of(tmp_path / "ours"), tensors_of(tmp_path / "theirs"))
    for suffix in (".index", ".data-00000-of-00001"):
        ours = (tmp_path / f"ours{suffix}").read_bytes()
        assert ours == (tmp_path / f"theirs{suffix}").read_bytes(), suffix


def test_partitioned_variables(tmp_path):
    def build():
        for name, shape, parts, axis in (("rows", [10, 16], 3, 0), ("columns", [10, 16], 4, 1),
                                         ("middle", [3, 5, 7], 2, 1), ("many", [20000, 2], 200, 0)):
            v1.get_variable(name, shape, initializer=v1.random_normal_initializer(seed=1),
                            partitioner=v1.fixed_size_partitioner(parts, axis=axis))

    save(tmp_path / "theirs", build)
    probe("copy_bundle", tmp_path / "theirs", tmp_path / "ours")
    assert_same_tensors(tensors_of(tmp_path / "ours"), tensors_of(tmp_path / "theirs"))


def free_port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def test_sharded_save_of_two_parameter_servers(tmp_path):
    cluster = tf.train.ClusterSpec({"ps": [f"localhost:{free_port()}" for _ in range(2)]})
    servers = [v1.train.Server(cluster, job_name="ps", task_index=i) for i in range(2)]
    with tf.Graph().as_default():
        for task in range(2):
            with v1.device(f"/job:ps/task:{task}"):
                v1.get_variable(f"v{task}", initializer=np.arange(12.0).reshape(3, 4) + task)
        with v1.device(v1.train.replica_device_setter(ps_tasks=2, worker_device="/job:ps/task:0")):
            v1.get_variable("table", [11, 8], initializer=v1.random_normal_initializer(seed=1),
                            partitioner=v1.fixed_size_partitioner(2, axis=0))
        with v1.Session(servers[0].target) as session:
            session.run(v1.global_variables_initializer())
            v1.train.Saver(sharded=True).save(session, str(tmp_path / "theirs"))
    assert (tmp_path / "theirs.data-00001-of-00002").exists()
    probe("copy_bundle", tmp_path / "theirs", tmp_path / "ours")
    assert_same_tensors(tensors_of(tmp_path / "ours"), tensors_of(tmp_path / "theirs"))


def test_object_based_checkpoint(tmp_path):
    checkpoint = tf.train.Checkpoint(w=tf.Variable([1.0, 2.0]), step=tf.Variable(3))
    prefix = checkpoint.write(str(tmp_path / "theirs"))
    probe("copy_bundle", prefix, tmp_path / "ours")
    assert_same_tensors(tensors_of(tmp_path / "ours"), tensors_of(tmp_path / "theirs"))
    checkpoint.w.assign([0.0, 0.0])
    checkpoint.read(str(tmp_path / "ours")).assert_consumed()
    assert checkpoint.w.numpy().tolist() == [1.0, 2.0]


def some_examples():
    generator = np.random.default_rng(2)
    for i in range(50):
        features = {
            "f": tf.train.Feature(float_list=tf.train.FloatList(value=generator.random(i % 4))),
            "i": tf.train.Feature(int64_list=tf.train.Int64List(
                value=generator.integers(-(1 << 63), (1 << 63) - 1, i % 3))),
            "b": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"\0" * i, b"text"])),
        }
        yield tf.train.Example(features=tf.train.Features(feature=features))


@pytest.mark.parametrize("theirs", ["none", "gzip", "zlib"])
@pytest.mark.parametrize("ours", ["none", "gzip", "zlib"])
def test_records(tmp_path, theirs, ours):
    names = {"none": "", "gzip": "GZIP", "zlib": "ZLIB"}
    examples = list(some_examples())
    with tf.io.TFRecordWriter(str(tmp_path / "theirs"), names[theirs]) as writer:
        for example in examples:
            writer.write(example.SerializeToString())
    probe("copy_records", tmp_path / "theirs", tmp_path / "ours", ours)
    dataset = tf.data.TFRecordDataset(str(tmp_path / "ours"), names[ours])
    got = [tf.train.Example.FromString(record.numpy()) for record in dataset]
    assert got == examples


def test_tensorboard_reads_our_events(tmp_path):
    accumulators = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator")
    probe("write_events", tmp_path)
    accumulator = accumulators.EventAccumulator(str(tmp_path))
    accumulator.Reload()
    assert accumulator.Tags()["scalars"] == ["loss", "train_auc"]
    losses = accumulator.Scalars("loss")
    assert [event.step for event in losses] == [100, 200, 300, 400, 500]
    np.testing.assert_allclose([event.value for event in losses],
                               [1 / step for step in range(1, 6)], rtol=1e-6)
    assert losses[0].wall_time == 1525910401.0
    histogram = accumulator.Histograms("weights")[0].histogram_value
    assert (histogram.min, histogram.max, histogram.num, histogram.sum) == (-1, 2, 5, 1.5)
