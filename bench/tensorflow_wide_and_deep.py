#!/usr/bin/env python3
"""The peer of bench/training.py: the same wide & deep model in TensorFlow, written by hand for speed.

All 26 tables are one variable that also holds the wide weights (dim + 1 columns); ids are made unique before the
gather, so that gradients come per distinct row and one sparse Adagrad kernel updates them; the step is one tf.function;
tf.data reads TFRecords and parses whole batches. Prints "examples_per_s N" of the measured part.
"""
import argparse
import glob
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

# Distinct values of the 26 columns of the Kaggle-Criteo set.
CARDINALITIES = [1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194, 27, 14992,
                 5461306, 10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572]
NUMBERS, CATEGORIES = 13, 26


def dataset(pattern, batch_size, epochs):
    spec = {f"I{i + 1}": tf.io.FixedLenFeature([], tf.float32) for i in range(NUMBERS)}
    spec |= {f"C{i + 1}": tf.io.FixedLenFeature([], tf.int64) for i in range(CATEGORIES)}
    spec["label"] = tf.io.FixedLenFeature([], tf.int64)

    def parse(records):
        x = tf.io.parse_example(records, spec)
        numbers = tf.stack([x[f"I{i + 1}"] for i in range(NUMBERS)], axis=1)
        ids = tf.stack([x[f"C{i + 1}"] for i in range(CATEGORIES)], axis=1)
        return tf.math.log1p(tf.maximum(numbers, 0.0)), ids, tf.cast(x["label"], tf.float32)

    data = tf.data.TFRecordDataset(sorted(glob.glob(pattern)), buffer_size=8 << 20)
    data = data.repeat(epochs).batch(batch_size, drop_remainder=True)
    return data.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False).prefetch(tf.data.AUTOTUNE)


class WideAndDeep(tf.Module):
    def __init__(self, cap, dim, hidden, learning_rate):
        sizes = [min(c, cap) for c in CARDINALITIES]
        self.offsets = tf.constant(np.concatenate([[0], np.cumsum(sizes)[:-1]]), tf.int64)
        self.dim, self.rate = dim, learning_rate
        rows = sum(sizes)
        self.table = tf.Variable(tf.random.uniform([rows, dim + 1], -dim**-0.5, dim**-0.5))
        self.table_accumulator = tf.Variable(tf.fill([rows, dim + 1], 0.1))
        widths = [NUMBERS + CATEGORIES * dim] + hidden + [1]
        self.weights = []
        for fan_in, fan_out in zip(widths, widths[1:]):
            limit = (6.0 / (fan_in + fan_out)) ** 0.5
            self.weights += [tf.Variable(tf.random.uniform([fan_in, fan_out], -limit, limit)),
                             tf.Variable(tf.zeros([fan_out]))]
        self.weights += [tf.Variable(tf.zeros([NUMBERS, 1])), tf.Variable(tf.zeros([1]))]
        self.accumulators = [tf.Variable(tf.fill(w.shape, 0.1)) for w in self.weights]

    @tf.function
    def step(self, numbers, ids, labels):
        keys, index = tf.unique(tf.reshape(ids + self.offsets, [-1]))
        rows = tf.gather(self.table, keys)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([rows] + self.weights)
            values = tf.reshape(tf.gather(rows, index), [-1, CATEGORIES, self.dim + 1])
            x = tf.concat([numbers, tf.reshape(values[:, :, :self.dim], [-1, CATEGORIES * self.dim])], axis=1)
            layers = len(self.weights) // 2 - 1
            for layer in range(layers):
                x = tf.nn.bias_add(tf.matmul(x, self.weights[2 * layer]), self.weights[2 * layer + 1])
                if layer + 1 < layers:
                    x = tf.nn.relu(x)
            wide = tf.reduce_sum(values[:, :, self.dim], axis=1, keepdims=True)
            logits = x + wide + tf.matmul(numbers, self.weights[-2]) + self.weights[-1]
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(
                labels=labels[:, None], logits=logits))
        gradients = tape.gradient(loss, [rows] + self.weights)
        tf.raw_ops.ResourceSparseApplyAdagrad(
            var=self.table.handle, accum=self.table_accumulator.handle, lr=self.rate, grad=gradients[0], indices=keys)
        for weight, accumulator, gradient in zip(self.weights, self.accumulators, gradients[1:]):
            tf.raw_ops.ResourceApplyAdagrad(
                var=weight.handle, accum=accumulator.handle, lr=self.rate, grad=gradient)
        return loss


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--train_files", required=True)
    parser.add_argument("--batch_size", type=int, default=2048)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--cap", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--hidden", default="256,128,64")
    parser.add_argument("--warmup_steps", type=int, default=50)
    parser.add_argument("--threads", type=int, default=0, help="0: TensorFlow decides")
    args = parser.parse_args()
    if args.threads:
        tf.config.threading.set_intra_op_parallelism_threads(args.threads)
        tf.config.threading.set_inter_op_parallelism_threads(args.threads)

    model = WideAndDeep(args.cap, args.dim, [int(w) for w in args.hidden.split(",")], 0.05)
    examples, start, loss = 0, 0.0, None
    for number, batch in enumerate(dataset(args.train_files, args.batch_size, args.epochs)):
        if number == args.warmup_steps:
            start = time.perf_counter()
        loss = model.step(*batch)
        if number >= args.warmup_steps:
            examples += args.batch_size
    print(f"loss {float(loss):.4f}")
    print(f"examples_per_s {examples / (time.perf_counter() - start):.0f}")


if __name__ == "__main__":
    main()
