"""What an exported graph must answer: the model in numpy, from the weights in its bundle.

A model is the dict that a model file holds. Rows are dicts column -> list of values; a column that a
row does not have is missing from its Example.
"""

import functools

import numpy as np
import tensorflow as tf

MOST_BUCKETS = 2**63 - 1


@functools.cache
def bucket_of_hash(text, buckets):
    with tf.compat.v1.Session(graph=tf.Graph()) as session:  # wherever the caller is
        return int(session.run(tf.strings.to_hash_bucket_fast(text, buckets or MOST_BUCKETS)))


def column_of(feature):
    return feature.get("column", feature["name"])


def is_float(feature):
    return feature["type"] == "float"


def single_value(feature, row):
    default = {"id": feature.get("default_id", 0), "hash": "", "vocabulary": ""}.get(
        feature["type"], feature.get("default", 0.0)
    )
    values = row.get(column_of(feature), [])
    return values[0] if values else default


class Reference:
    def __init__(self, model, weights):
        """weights: variable name -> array."""
        self.model = model
        self.weights = weights
        self.kind = model["model"]
        self.classes = model.get("classes", 2)
        self.loss = model.get("loss", "sigmoid")
        self.features = model["features"]
        self.categories = [f for f in self.features if not is_float(f)]
        self.sizes = {t["name"]: t.get("size", 0) for t in model.get("tables", [])}

    # Input -------------------------------------------------------------------------------------

    def floats(self, rows):
        columns = []
        for f in self.features:
            if not is_float(f):
                continue
            length = f.get("length", 1)
            missing = [f.get("default", 0.0)] * length
            x = np.array([row.get(column_of(f), missing) for row in rows], np.float32)
            x = x.reshape(len(rows), length)
            if f.get("log1p"):
                x = np.log1p(np.maximum(x, 0))
            if f.get("standardise"):
                x = (x - np.float32(f["mean"])) / np.float32(f["stddev"])
            columns.append(x)
        return np.concatenate(columns, 1) if columns else None

    def key(self, feature, value):
        kind = feature["type"]
        if kind == "bucket":
            return int(np.searchsorted(np.float32(feature["boundaries"]), value, side="right"))
        if kind == "hash":
            return bucket_of_hash(value, feature.get("buckets", 0))
        if kind == "vocabulary":
            words = feature["vocabulary"]
            return words.index(value) if value in words else len(words)
        return value

    def text(self, feature, row):
        value = single_value(feature, row)
        if feature["type"] in ("hash", "vocabulary"):
            return value
        return str(self.key(feature, value))

    def values(self, feature, row):
        """[(key, weight)] of one example."""
        if feature["type"] == "cross":
            by_name = {f["name"]: f for f in self.features}
            joined = "_X_".join(self.text(by_name[name], row) for name in feature["of"])
            return [(bucket_of_hash(joined, feature.get("buckets", 0)), 1.0)]
        if "combiner" not in feature:
            return [(self.key(feature, single_value(feature, row)), 1.0)]
        values = row.get(column_of(feature), [])
        weights = row.get(feature["weights"], []) if "weights" in feature else [1.0] * len(values)
        return [(self.key(feature, v), w) for v, w in zip(values, weights, strict=True)]

    # Tables ------------------------------------------------------------------------------------

    def part(self, table, part):
        """name of the variable"""
        if self.model.get("naming") == "sparse_2018":
            return {"wide": "logistic_regression/weights", "embedding": "input/weights"}[part]
        return f"tables/{table}/{part}"

    def pooled(self, feature, part, rows):
        table = feature.get("table", feature["name"])
        values = self.weights[self.part(table, part)]
        if self.sizes.get(table, 0):
            row_of = {i: i for i in range(len(values))}
        else:
            row_of = {int(k): i for i, k in enumerate(self.weights[f"tables/{table}-keys"])}
        out = np.zeros((len(rows), values.shape[1]))
        for i, row in enumerate(rows):
            pairs = self.values(feature, row)
            for key, weight in pairs:
                if key in row_of:
                    out[i] += weight * values[row_of[key]]
            weights = np.array([w for _, w in pairs])
            divisor = {
                "sum": 1.0,
                "mean": weights.sum(),
                "sqrtn": np.sqrt((weights**2).sum()),
            }[feature.get("combiner", "sum")]
            out[i] = out[i] / divisor if divisor else 0
        return out

    def embeddings(self, rows):
        return [
            self.pooled(f, "embedding", rows) for f in self.categories if f.get("deep", True)
        ]

    # Layers ------------------------------------------------------------------------------------

    def scopes(self, part):
        naming = self.model.get("naming", "model_file")
        count = len(self.model.get(part, {}).get("hidden", []))
        if part == "bottom":
            return [f"bottom/layer_{i}" for i in range(count)]
        if naming == "dense_2018":
            return ["input_layer"][:count] + [f"layer_{i}" for i in range(count - 1)]
        prefix = {"sparse_2018": "layer", "model_file": "deep/layer_"}[naming]
        return [f"{prefix}{i}" for i in range(count)]

    def scope(self, what):
        naming = self.model.get("naming", "model_file")
        return {
            "output": {"dense_2018": "output_layer", "sparse_2018": "output"},
            "wide": {"dense_2018": "lr", "sparse_2018": "logistic_regression"},
            "pooled": {"sparse_2018": "input"},
        }[what].get(naming, {"output": "deep/output", "wide": "wide", "pooled": "deep/input"}[what])

    def linear(self, scope, x, mlp, norm):
        w = self.weights
        x = x @ w[f"{scope}/weights"].astype(np.float64) + w[f"{scope}/biases"]
        if norm:
            x = (x - w[f"{scope}/moving_mean"]) / np.sqrt(
                w[f"{scope}/moving_variance"] + mlp.get("bn_epsilon", 0.001)
            )
            x = x * w[f"{scope}/scale"] + w[f"{scope}/shift"]
        return x

    def hidden(self, part, x):
        mlp = self.model[part]
        for scope in self.scopes(part):
            x = np.maximum(self.linear(scope, x, mlp, mlp.get("batch_norm", False)), 0)
        return x

    def tower(self, x):
        mlp = self.model.get("deep", {})
        x = self.hidden("deep", x) if mlp else x
        return self.linear(self.scope("output"), x, mlp, mlp.get("batch_norm_output", False))

    def wide(self, rows):
        scope = self.scope("wide")
        logits = np.tile(np.float64(self.weights[f"{scope}/biases"]), (len(rows), 1))
        floats = self.floats(rows)
        if floats is not None:
            logits += floats @ self.weights[f"{scope}/weights"].astype(np.float64)
        for f in self.categories:
            if f.get("wide", True):
                logits += self.pooled(f, "wide", rows)
        return logits

    def deep(self, rows):
        embeddings = self.embeddings(rows)
        if self.model.get("pooled_first_layer"):
            x = np.maximum(embeddings[0] + self.weights[f"{self.scope('pooled')}/biases"], 0)
            return self.tower(x)
        floats = self.floats(rows)
        return self.tower(np.concatenate(([] if floats is None else [floats]) + embeddings, 1))

    def second_order(self, rows):
        vectors = self.embeddings(rows)
        floats = self.floats(rows)
        if floats is not None:
            for i, factor in enumerate(self.weights["fm/factors"]):
                vectors.append(floats[:, i : i + 1] * factor)
        total = np.zeros(len(rows))
        for i in range(len(vectors)):
            for j in range(i):
                total += (vectors[i] * vectors[j]).sum(1)
        return total[:, None]

    def dlrm(self, rows):
        bottom = self.hidden("bottom", self.floats(rows))
        z = [bottom] + self.embeddings(rows)
        dots = [
            (z[i] * z[j]).sum(1, keepdims=True) for i in range(1, len(z)) for j in range(i)
        ]
        return self.tower(np.concatenate([bottom] + dots, 1))

    def logits(self, rows):
        if self.kind == "dlrm":
            return self.dlrm(rows)
        parts = []
        if self.kind != "dnn":
            parts.append(self.wide(rows))
        if self.kind in ("dnn", "wide_and_deep", "deepfm"):
            parts.append(self.deep(rows))
        if self.kind in ("fm", "deepfm"):
            parts.append(self.second_order(rows))
        return sum(parts)

    def scores(self, rows):
        """[batch, classes]; mean_square: the values [batch, 1]."""
        logits = self.logits(rows)
        if self.loss == "mean_square":
            return logits
        if self.loss == "softmax":
            e = np.exp(logits - logits.max(1, keepdims=True)) if len(rows) else logits
            return e / e.sum(1, keepdims=True)
        p = 1 / (1 + np.exp(-logits))
        return np.concatenate([1 - p, p], 1)
