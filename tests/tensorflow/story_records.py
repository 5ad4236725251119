"""Records for the stories: rows with every kind of column, and what signatures want of them.

A row is a dict column -> list of values; a column that it does not have is missing from its Example.
"""

import glob

import numpy as np
import tensorflow as tf

KINDS = [f"w{i}" for i in range(12)]
CITIES = ["Rome", "Paris", "Zürich", "São Paulo", "x_X_y", "a"]
BIG_IDS = [2**63 - 1, -(2**63), -1, 2**40]


def make_rows(count, seed, unseen=False):
    """Labels depend on the values. `unseen`: half of the rows have values of their own, and some have
    no columns but `vector`."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        new = unseen and i % 2 == 0
        user = int(rng.integers(0, 30)) if rng.random() < 0.9 else int(rng.choice(BIG_IDS))
        tags = [int(v) for v in rng.integers(0, 25, size=rng.integers(0, 4))]
        words = [f"w{v}" for v in rng.integers(0, 16, size=rng.integers(0, 4))]
        city = str(rng.choice(CITIES))
        if new:
            user, city = user + 10**12 if user < 2**62 else 77, city + "?"
            tags, words = [tag + 1000 for tag in tags], [word + "?" for word in words]
        vector = rng.normal(size=3) * [1, 5, 0.1] + [0, 10, 0]
        score = vector[0] + 0.2 * (vector[1] - 10) + user % 3 - 1 + 0.5 * len(tags) - 0.7
        score += rng.normal()
        row = {
            "price": [float(np.float32(rng.normal() * 3))],
            "vector": [float(v) for v in vector.astype(np.float32)],
            "user": [user],
            "city": [city],
            "item": [int(rng.integers(0, 40))],
            "kind": [f"w{rng.integers(0, 16)}"],
            "tags": tags,
            "tag_weights": [float(v) for v in rng.random(len(tags)).astype(np.float32)],
            "words": words,
            "label": [int(score > 0)],
            "species": [int(score > -1) + int(score > 1)],
            "amount": [float(np.float32(3 * score + 10))],
            "weight": [float(np.float32(rng.integers(1, 4)))],
            "session": [f"s{rng.integers(0, 12)}"],
            "row_id": [f"row {seed}/{i}"],
        }
        if new and i % 6 == 0:
            kept = ("vector", "label", "species", "amount", "weight", "session", "row_id")
            row = {name: values for name, values in row.items() if name in kept}
        rows.append(row)
    return rows


def serialize(row):
    example = tf.train.Example()
    for name, values in row.items():
        feature = example.features.feature[name]
        if not values:
            continue
        if isinstance(values[0], float):
            feature.float_list.value.extend(values)
        elif isinstance(values[0], int):
            feature.int64_list.value.extend(values)
        else:
            feature.bytes_list.value.extend(value.encode() for value in values)
    return example.SerializeToString(deterministic=True)


def parse(record):
    """Strings as str."""
    row = {}
    for name, feature in tf.train.Example.FromString(record).features.feature.items():
        kind = feature.WhichOneof("kind")
        values = list(getattr(feature, kind).value) if kind else []
        row[name] = [v.decode() for v in values] if kind == "bytes_list" else values
    return row


def write_records(path, rows, compression=""):
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for row in rows:
            writer.write(serialize(row))
    return str(path)


def read_records(pattern):
    files = sorted(glob.glob(str(pattern)))
    return [record for path in files for record in tf.compat.v1.io.tf_record_iterator(path)]


def single_value(feature, row):
    values = row.get(feature.get("column", feature["name"]), [])
    if values:
        return values[0]
    if feature["type"] == "id":
        return feature.get("default_id", 0)
    return "" if feature["type"] in ("hash", "vocabulary") else feature.get("default", 0.0)


def signature_inputs(model, rows):
    """What serving_default wants: docs/formats/export.md."""
    keys = np.arange(len(rows), dtype=np.int32)[:, None]
    if model.get("naming") == "dense_2018":
        return {"keys": keys, "features": np.array([row["features"] for row in rows], np.float32)}
    if model.get("naming") == "sparse_2018":
        pairs = [(i, j) for i, row in enumerate(rows) for j in range(len(row["ids"]))]
        return {
            "keys": keys,
            "indexs": np.array(pairs, np.int64).reshape(-1, 2),
            "ids": np.array([v for row in rows for v in row["ids"]], np.int64),
            "values": np.array([v for row in rows for v in row["values"]], np.float32),
            "shape": np.array([len(rows), 124], np.int64),
        }
    inputs = {}
    for feature in model["features"]:
        kind, name = feature["type"], feature["name"]
        dtype = {"float": np.float32, "bucket": np.float32, "id": np.int64}.get(kind, object)
        if kind == "cross":
            continue
        if "combiner" in feature:
            lists = [row.get(feature.get("column", name), []) for row in rows]
            inputs[name] = np.array([v for values in lists for v in values], dtype)
            inputs[f"{name}_row_splits"] = np.cumsum([0] + [len(v) for v in lists], dtype=np.int64)
            if "weights" in feature:
                weights = [w for row in rows for w in row.get(feature["weights"], [])]
                inputs[f"{name}_weights"] = np.array(weights, np.float32)
        elif kind == "float":
            length = feature.get("length", 1)
            missing = [feature.get("default", 0.0)] * length
            column = feature.get("column", name)
            values = [row.get(column, missing) for row in rows]
            inputs[name] = np.array(values, dtype).reshape(-1, length)
        else:
            inputs[name] = np.array([single_value(feature, row) for row in rows], dtype)
    return inputs
