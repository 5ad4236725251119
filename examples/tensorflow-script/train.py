"""A distributed TensorFlow script as they were written in 2016: tf.train.Server, flags of hosts.

A straight line is fitted to points. What matters is the form: servers join for ever, workers share
a global step, and worker 0 is the chief.
"""

import argparse

import numpy
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()


def build(steps):
    """Variables lie on the servers, by turns; each worker computes on points of its own."""
    x = tf.placeholder(tf.float32, [None])
    y = tf.placeholder(tf.float32, [None])
    slope = tf.get_variable("slope", initializer=0.0)
    offset = tf.get_variable("offset", initializer=0.0)
    loss = tf.reduce_mean(tf.square(slope * x + offset - y))
    step = tf.train.get_or_create_global_step()
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss, global_step=step)
    return x, y, slope, offset, loss, step, train


def main():
    parser = argparse.ArgumentParser()
    for name in ("ps_hosts", "worker_hosts", "job_name"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--task_index", type=int, required=True)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--checkpoint_path", default=None)
    args = parser.parse_args()

    cluster = tf.train.ClusterSpec({"ps": args.ps_hosts.split(","),
                                    "worker": args.worker_hosts.split(",")})
    server = tf.train.Server(cluster, job_name=args.job_name, task_index=args.task_index)
    if args.job_name == "ps":
        print(f"ps {args.task_index} serves until somebody ends it", flush=True)
        server.join()

    device = tf.train.replica_device_setter(
        worker_device=f"/job:worker/task:{args.task_index}", cluster=cluster)
    with tf.device(device):
        x, y, slope, offset, loss, step, train = build(args.steps)
    random = numpy.random.default_rng(args.task_index)
    hooks = [tf.train.StopAtStepHook(last_step=args.steps)]
    with tf.train.MonitoredTrainingSession(
            master=server.target, is_chief=args.task_index == 0, hooks=hooks,
            checkpoint_dir=args.checkpoint_path if args.task_index == 0 else None) as session:
        while not session.should_stop():
            points = random.uniform(-1, 1, 64)
            _, now, error, a, b = session.run([train, step, loss, slope, offset],
                                              {x: points, y: 3 * points + 1})
            if now % 50 == 0:
                print(f"Step: {now}, loss: {error:.4g}, line: {a:.3f} x + {b:.3f}", flush=True)
    print(f"worker {args.task_index} is done", flush=True)


if __name__ == "__main__":
    main()
