"""Clusters that end with their test, and what they train."""

import contextlib

import pytest

from cluster import Cluster, write_model
from training import Training


@pytest.fixture
def cluster(tmp_path):
    """cluster(servers=2, workers=2, …): makes a Cluster in a folder of its own."""
    with contextlib.ExitStack() as stack:
        def make(name="job", **arguments):
            made = Cluster(tmp_path / name, **arguments)
            stack.callback(made.close)
            return made
        yield make


@pytest.fixture(scope="session")
def story(tmp_path_factory, synth):
    """A model file on clicks: 2 epochs of 3 files, 60 steps."""
    folder = tmp_path_factory.mktemp("story")
    return Training(folder, synth("clicks", 3000, first_row=50000), model_file=write_model(folder),
                 train_files=synth("clicks", 3000, files=3), train_batch_size=100, epoch_number=2,
                 shuffle_block=700, seed=5)


@pytest.fixture(scope="session")
def script_story(tmp_path_factory, synth):
    """A sparse model by the flags of 2018."""
    folder = tmp_path_factory.mktemp("script")
    return Training(folder, synth("sparse", 2000, first_row=50000), model="wide_and_deep",
                 train_files=synth("sparse", 2000), train_batch_size=64, epoch_number=2,
                 dnn_struct="16 8", optimizer="adagrad", seed=5)


@pytest.fixture(scope="session")
def long_story(tmp_path_factory, synth):
    """Steps enough for a model that is as good whatever their order: 40,000 examples."""
    folder = tmp_path_factory.mktemp("long")
    return Training(folder, synth("clicks", 10000, first_row=90000),
                 model_file=write_model(folder, optimizer="adagrad", embedding={"dim": 4}),
                 train_files=synth("clicks", 40000, files=3), train_batch_size=100, epoch_number=1,
                 shuffle_block=700, seed=5)


@pytest.fixture(scope="session")
def medium_story(tmp_path_factory, synth):
    """Long enough to be disturbed in the middle: 1,000 steps."""
    folder = tmp_path_factory.mktemp("medium")
    return Training(folder, None, model_file=write_model(folder), shuffle_block=1000, seed=5,
                 train_files=synth("clicks", 50000, files=3), train_batch_size=100, epoch_number=2)
