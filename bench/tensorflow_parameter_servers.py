#!/usr/bin/env python3
"""The peer of bench/parameter_servers.py: wide & deep under TensorFlow's ParameterServerStrategy, by hand for speed.

Starts servers and workers as processes on loopback and is their coordinator. The columns are dealt into one table per
server (with the wide weights in it), so that a step asks each server once; ids are made unique before the gather, so
that only distinct rows and their gradients travel; every variable is updated by one kernel on the server that holds
it, and Adagrad's accumulators stand beside their variables. Several steps are one call of the coordinator.
Prints "cpu_us_per_example N" (of all processes) and "examples_per_s N" of the measured part.
"""
import argparse
import json
import os
import socket
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import tensorflow as tf

from tensorflow_wide_and_deep import CARDINALITIES, CATEGORIES, NUMBERS, dataset


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def set_threads(threads):
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def serve(args):
    """A server or worker: until it is ended from outside, as TensorFlow's are."""
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    # inter_op: with one thread a worker could not fetch while it computes.
    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=args.threads, inter_op_parallelism_threads=0)
    tf.distribute.Server(resolver.cluster_spec(), job_name=resolver.task_type, task_index=resolver.task_id,
                         protocol="grpc", config=config, start=True).join()


class WideAndDeep:
    """Variables on the servers of a strategy; `step` runs on a worker."""

    def __init__(self, strategy, servers, args):
        self.dim, self.rate, self.adagrad = args.dim, args.learning_rate, args.optimizer == "adagrad"
        self.columns = [list(range(s, CATEGORIES, servers)) for s in range(servers)]
        self.strategy = strategy
        self.tables, self.offsets = [], []
        for columns in self.columns:  # the strategy deals variables round the servers
            sizes = [min(CARDINALITIES[c], args.cap) for c in columns]
            self.offsets.append(np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64))
            rows, limit = sum(sizes), args.dim**-0.5
            self.tables.append(self.variable(lambda: tf.random.uniform([rows, args.dim + 1], -limit, limit)))
        widths = [NUMBERS + CATEGORIES * args.dim] + [int(w) for w in args.hidden.split(",")] + [1]
        self.weights = []
        for fan_in, fan_out in zip(widths, widths[1:]):
            limit = (6.0 / (fan_in + fan_out)) ** 0.5
            self.weights.append(self.variable(lambda: tf.random.uniform([fan_in, fan_out], -limit, limit)))
            self.weights.append(self.variable(lambda: tf.zeros([fan_out])))
        self.weights += [self.variable(lambda: tf.zeros([NUMBERS, 1])), self.variable(lambda: tf.zeros([1]))]
        self.slots = {id(v): self.slot(v) for v in self.tables + self.weights} if self.adagrad else {}

    def variable(self, initial):
        with self.strategy.scope():
            return tf.Variable(initial)

    def slot(self, variable):
        with self.strategy.scope(), self.strategy.extended.colocate_vars_with(variable):
            made = tf.Variable(lambda: tf.fill(variable.shape, 0.0001))
        assert made.device == variable.device, (made.device, variable.device)
        return made

    def update_rows(self, table, keys, gradient):
        gradient = tf.convert_to_tensor(gradient)  # of slices with repeated indices: their sums per distinct row
        if self.adagrad:
            tf.raw_ops.ResourceSparseApplyAdagrad(var=table.handle, accum=self.slots[id(table)].handle, lr=self.rate,
                                                  grad=gradient, indices=keys)
        else:
            tf.raw_ops.ResourceScatterSub(resource=table.handle, indices=keys, updates=self.rate * gradient)

    def update(self, weight, gradient):
        if self.adagrad:
            tf.raw_ops.ResourceApplyAdagrad(var=weight.handle, accum=self.slots[id(weight)].handle, lr=self.rate,
                                            grad=gradient)
        else:
            tf.raw_ops.ResourceApplyGradientDescent(var=weight.handle, alpha=self.rate, delta=gradient)

    def logits(self, numbers, rows, indexes, weights):
        deep, wide = [numbers], 0.0
        for columns, own, index in zip(self.columns, rows, indexes):
            values = tf.reshape(tf.gather(own, index), [-1, len(columns), self.dim + 1])
            deep.append(tf.reshape(values[:, :, :self.dim], [-1, len(columns) * self.dim]))
            wide += tf.reduce_sum(values[:, :, self.dim], axis=1, keepdims=True)
        x = tf.concat(deep, axis=1)
        layers = len(weights) // 2 - 1
        for layer in range(layers):
            x = tf.nn.bias_add(tf.matmul(x, weights[2 * layer]), weights[2 * layer + 1])
            if layer + 1 < layers:
                x = tf.nn.relu(x)
        return x + wide + tf.matmul(numbers, weights[-2]) + weights[-1]

    def step(self, numbers, ids, labels):
        keys, indexes = [], []
        for columns, offsets in zip(self.columns, self.offsets):
            distinct, index = tf.unique(tf.reshape(tf.gather(ids, columns, axis=1) + offsets, [-1]))
            keys.append(distinct)
            indexes.append(index)
        rows = [tf.raw_ops.ResourceGather(resource=table.handle, indices=distinct, dtype=tf.float32)
                for table, distinct in zip(self.tables, keys)]
        # Read once: the values go over the wire a single time.
        weights = [tf.identity(weight) for weight in self.weights]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(rows + weights)
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(
                labels=labels[:, None], logits=self.logits(numbers, rows, indexes, weights)))
        gradients = tape.gradient(loss, rows + weights)
        for table, distinct, gradient in zip(self.tables, keys, gradients):
            self.update_rows(table, distinct, gradient)
        for weight, gradient in zip(self.weights, gradients[len(rows):]):
            self.update(weight, gradient)
        return loss


def cpu_seconds(tasks):
    """Of this process and its tasks."""
    ticks = 0
    for pid in [os.getpid()] + [task.pid for task in tasks]:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def coordinate(args, cluster, tasks):
    os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": {"type": "chief", "index": 0}})
    strategy = tf.distribute.ParameterServerStrategy(tf.distribute.cluster_resolver.TFConfigClusterResolver())
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    model = WideAndDeep(strategy, args.ps, args)

    @tf.function
    def steps(iterator):
        loss = 0.0
        for _ in range(args.steps_per_call):
            loss = model.step(*next(iterator))
        return loss

    per_worker = coordinator.create_per_worker_dataset(
        tf.function(lambda: dataset(args.train_files, args.batch_size, -1)))
    iterator = iter(per_worker)

    def run(calls):
        last = [coordinator.schedule(steps, args=(iterator,)) for _ in range(calls)][-1]
        coordinator.join()
        return last.fetch()

    run(max(args.warmup_steps // args.steps_per_call, args.workers))
    start, cpu = time.perf_counter(), cpu_seconds(tasks)
    calls = args.steps // args.steps_per_call
    loss = run(calls)
    seconds, cpu = time.perf_counter() - start, cpu_seconds(tasks) - cpu
    examples = calls * args.steps_per_call * args.batch_size
    print(f"optimizer {args.optimizer}, loss {float(loss):.4f}")
    print(f"cpu_us_per_example {1e6 * cpu / examples:.2f}")
    print(f"examples_per_s {examples / seconds:.0f}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--train_files", required=True)
    parser.add_argument("--batch_size", type=int, default=2048, help="per worker")
    parser.add_argument("--ps", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=600, help="measured, of all workers together")
    parser.add_argument("--warmup_steps", type=int, default=100)
    parser.add_argument("--steps_per_call", type=int, default=5)
    parser.add_argument("--optimizer", choices=["adagrad", "sgd"], default="adagrad")
    parser.add_argument("--learning_rate", type=float, default=0.05)
    parser.add_argument("--cap", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--hidden", default="256,128,64")
    parser.add_argument("--threads", type=int, default=1, help="of a task's kernels; 0: TensorFlow decides")
    parser.add_argument("--serve", action="store_true", help="this process is the task that TF_CONFIG says")
    args = parser.parse_args()
    if args.serve:
        serve(args)
        return

    ports = free_ports(args.ps + args.workers)
    addresses = [f"127.0.0.1:{port}" for port in ports]
    cluster = {"ps": addresses[:args.ps], "worker": addresses[args.ps:], "chief": ["127.0.0.1:0"]}
    tasks = []
    try:
        for role, count in (("ps", args.ps), ("worker", args.workers)):
            for index in range(count):
                config = json.dumps({"cluster": cluster, "task": {"type": role, "index": index}})
                tasks.append(subprocess.Popen([sys.executable, __file__, "--serve", "--train_files=",
                                               f"--threads={args.threads}"],
                                              env=os.environ | {"TF_CONFIG": config}, stderr=subprocess.DEVNULL))
        coordinate(args, cluster, tasks)
    finally:
        for task in tasks:
            task.kill()
        for task in tasks:
            task.wait()
    sys.stdout.flush()
    os._exit(0)  # the runtime waits for tasks that are gone


if __name__ == "__main__":
    main()
