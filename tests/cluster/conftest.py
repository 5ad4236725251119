"""Clusters that end with their test, and the one-machine runs that they are compared with."""

import contextlib

import pytest

import program
from cluster import Cluster, write_model


@pytest.fixture
def cluster(tmp_path):
    """cluster(servers=2, workers=2, …): makes a Cluster in a folder of its own."""
    with contextlib.ExitStack() as stack:
        def make(name="job", **arguments):
            made = Cluster(tmp_path / name, **arguments)
            stack.callback(made.close)
            return made
        yield make


class Story:
    """One training: its flags, what one machine makes of it, and data to validate on."""

    def __init__(self, folder, validation, **flags):
        self.folder = folder
        self.validation = validation
        self.flags = flags

    def one_machine(self):
        """Folder of checkpoints of the undisturbed run of one machine."""
        place = self.folder / "one_machine"
        if not place.exists():
            program.train(None, **self.flags | {"checkpoint_path": place, "steps_to_validate": 0})
        return place

    def digest(self):
        return program.digest(self.one_machine())

    def auc(self, checkpoints):
        return program.evaluate(model_path=checkpoints, files=self.validation)["auc"]

    def auc_of_one_machine(self):
        return self.auc(self.one_machine())


@pytest.fixture(scope="session")
def story(tmp_path_factory, synth):
    """A model file on clicks: 2 epochs of 3 files, 60 steps."""
    folder = tmp_path_factory.mktemp("story")
    return Story(folder, synth("clicks", 3000, first_row=50000), model_file=write_model(folder),
                 train_files=synth("clicks", 3000, files=3), train_batch_size=100, epoch_number=2,
                 shuffle_block=700, seed=5)


@pytest.fixture(scope="session")
def script_story(tmp_path_factory, synth):
    """A sparse model by the flags of 2018."""
    folder = tmp_path_factory.mktemp("script")
    return Story(folder, synth("sparse", 2000, first_row=50000), model="wide_and_deep",
                 train_files=synth("sparse", 2000), train_batch_size=64, epoch_number=2,
                 dnn_struct="16 8", optimizer="adagrad", seed=5)


@pytest.fixture(scope="session")
def long_story(tmp_path_factory, synth):
    """Steps enough for a model that is as good whatever their order: 40,000 examples."""
    folder = tmp_path_factory.mktemp("long")
    return Story(folder, synth("clicks", 10000, first_row=90000),
                 model_file=write_model(folder, optimizer="adagrad", embedding={"dim": 4}),
                 train_files=synth("clicks", 40000, files=3), train_batch_size=100, epoch_number=1,
                 shuffle_block=700, seed=5)


@pytest.fixture(scope="session")
def medium_story(tmp_path_factory, synth):
    """Long enough to be disturbed in the middle: 1,000 steps."""
    folder = tmp_path_factory.mktemp("medium")
    return Story(folder, None, model_file=write_model(folder), shuffle_block=1000, seed=5,
                 train_files=synth("clicks", 50000, files=3), train_batch_size=100, epoch_number=2)
