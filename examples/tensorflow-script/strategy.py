"""TensorFlow 2's ParameterServerStrategy: a coordinator, and workers and servers that never end.

All of it comes from TF_CONFIG. The chief fits a straight line to points by closures that it gives
to the workers.
"""

import json
import os

import tensorflow as tf

STEPS = 100


def serve(resolver):
    server = tf.distribute.Server(resolver.cluster_spec(), job_name=resolver.task_type,
                                  task_index=resolver.task_id,
                                  protocol=resolver.rpc_layer or "grpc", start=True)
    print(f"{resolver.task_type} {resolver.task_id} serves until somebody ends it", flush=True)
    server.join()


def coordinate(resolver):
    strategy = tf.distribute.ParameterServerStrategy(resolver)
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    with strategy.scope():
        slope = tf.Variable(0.0)
        offset = tf.Variable(0.0)

    @tf.function
    def train():
        x = tf.random.uniform([64], -1, 1)
        error = slope * x + offset - (3 * x + 1)
        slope.assign_sub(0.1 * 2 * tf.reduce_mean(error * x))
        offset.assign_sub(0.1 * 2 * tf.reduce_mean(error))
        return tf.reduce_mean(tf.square(error))

    for step in range(1, STEPS + 1):
        loss = coordinator.schedule(train)
        if step % 25 == 0:
            coordinator.join()
            print(f"Step: {step}, loss: {loss.fetch():.4g}, "
                  f"line: {slope.numpy():.3f} x + {offset.numpy():.3f}", flush=True)
    coordinator.join()
    print("the chief is done", flush=True)


def main():
    assert json.loads(os.environ["TF_CONFIG"])["cluster"]["ps"]
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if resolver.task_type in ("ps", "worker"):
        serve(resolver)
    coordinate(resolver)


if __name__ == "__main__":
    main()
