"""Weights and slots after 100 steps equal TensorFlow's own, from the same start and gradients.

Needs the program optimizer_trace: $CAPSTAN_BUILD (default: build) holds it in tests.
"""

import os
import pathlib
import subprocess

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CAPSTAN_BUILD", ROOT / "build"))
ROWS, DIM, STEPS = 7, 19, 100

# name of the case: (our optimizer, our settings, TensorFlow's optimizer)
CASES = {
    "sgd": ("sgd", {"learning_rate": 0.1}, lambda: v1.train.GradientDescentOptimizer(0.1)),
    "momentum": (
        "momentum",
        {"learning_rate": 0.01, "momentum": 0.9},
        lambda: v1.train.MomentumOptimizer(0.01, 0.9),
    ),
    "nesterov": (
        "momentum",
        {"learning_rate": 0.01, "momentum": 0.8, "nesterov": 1},
        lambda: v1.train.MomentumOptimizer(0.01, 0.8, use_nesterov=True),
    ),
    "adagrad": ("adagrad", {"learning_rate": 0.05}, lambda: v1.train.AdagradOptimizer(0.05)),
    "adagrad_accumulator": (
        "adagrad",
        {"learning_rate": 0.05, "initial_accumulator": 0.001},
        lambda: v1.train.AdagradOptimizer(0.05, initial_accumulator_value=0.001),
    ),
    "adadelta": ("adadelta", {"learning_rate": 1.0}, lambda: v1.train.AdadeltaOptimizer(1.0)),
    "adam": ("adam", {"learning_rate": 0.01}, lambda: v1.train.AdamOptimizer(0.01)),
    "adam_settings": (
        "adam",
        {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-4},
        lambda: v1.train.AdamOptimizer(0.01, 0.8, 0.99, 1e-4),
    ),
    "ftrl": ("ftrl", {"learning_rate": 0.1}, lambda: v1.train.FtrlOptimizer(0.1)),
    "ftrl_regularized": (
        "ftrl",
        {"learning_rate": 0.1, "l1": 0.5, "l2": 0.2},
        lambda: v1.train.FtrlOptimizer(
            0.1, l1_regularization_strength=0.5, l2_regularization_strength=0.2
        ),
    ),
    "ftrl_power": (
        "ftrl",
        {"learning_rate": 0.1, "learning_rate_power": -0.7, "initial_accumulator": 0.3},
        lambda: v1.train.FtrlOptimizer(
            0.1, learning_rate_power=-0.7, initial_accumulator_value=0.3
        ),
    ),
    "rmsprop": ("rmsprop", {"learning_rate": 0.01}, lambda: v1.train.RMSPropOptimizer(0.01)),
    "rmsprop_momentum": (
        "rmsprop",
        {"learning_rate": 0.01, "decay": 0.8, "rmsprop_momentum": 0.5},
        lambda: v1.train.RMSPropOptimizer(0.01, decay=0.8, momentum=0.5),
    ),
}


def start_and_gradients():
    random = np.random.default_rng(1)
    weights = random.normal(0, 0.5, (ROWS, DIM)).astype(np.float32)
    gradients = random.normal(0.1, 1, (STEPS, ROWS, DIM)).astype(np.float32)
    return weights, gradients


def ours(optimizer, form, settings, weights, gradients):
    numbers = " ".join(repr(float(x)) for x in np.concatenate([weights.ravel(), gradients.ravel()]))
    words = " ".join(f"{name}={value!r}" for name, value in settings.items())
    program = BUILD / "tests" / "optimizer_trace"
    out = subprocess.run(
        [program],
        input=f"{optimizer} {form} {ROWS} {DIM} {len(gradients)} {words} end {numbers}",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {
        line.split()[0]: np.array(line.split()[1:], dtype=np.float32).reshape(ROWS, DIM)
        for line in out.splitlines()
    }


def tensorflows(make_optimizer, sparse, weights, gradients):
    """The variable and its slots, by the names that they have in a checkpoint."""
    with tf.Graph().as_default(), v1.Session() as session:
        variable = v1.get_variable("w", initializer=weights, use_resource=True)
        gradient = v1.placeholder(tf.float32, (ROWS, DIM))
        fed = tf.IndexedSlices(gradient, tf.range(ROWS)) if sparse else gradient
        train = make_optimizer().apply_gradients([(fed, variable)])
        session.run(v1.global_variables_initializer())
        for g in gradients:
            session.run(train, {gradient: g})
        values = {v.op.name: session.run(v) for v in v1.global_variables()}
    result = {"weights": values.pop("w")}
    result.update({n.removeprefix("w/"): v for n, v in values.items() if n.startswith("w/")})
    return result


@pytest.mark.parametrize("form", ["dense", "rows"])
@pytest.mark.parametrize("case", CASES)
def test_equals_tensorflow(case, form):
    optimizer, settings, make_optimizer = CASES[case]
    weights, gradients = start_and_gradients()
    wanted = tensorflows(make_optimizer, form == "rows", weights, gradients)
    got = ours(optimizer, form, settings, weights, gradients)
    assert set(got) == set(wanted)
    for name in wanted:
        # Relative to the values' size: single weights pass through zero.
        size = np.abs(wanted[name]).mean()
        error = np.abs(got[name] - wanted[name]) / np.maximum(np.abs(wanted[name]), size)
        assert error.max() < 1e-5, f"{name}: {error.max()}"
