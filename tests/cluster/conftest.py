"""Clusters that end with their test, and what they train."""

import contextlib
import os
import shutil
import subprocess

import pytest

from cluster import Cluster, write_model
from hosts import Hosts
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


@pytest.fixture
def make_hosts():
    """make_hosts({task: number}, …): makes Hosts, which are gone with the test."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces want root")
    for name in ["ip", "iptables"]:
        if shutil.which(name) is None:
            pytest.skip(f"network namespaces want the program {name}")
    with contextlib.ExitStack() as stack:
        def make(*arguments):
            made = Hosts(*arguments)
            stack.callback(made.remove)
            try:
                made.make()
            except subprocess.CalledProcessError as error:
                failed = f"{' '.join(error.cmd)}: {error.stderr.strip()}"
                pytest.skip(f"no network namespaces here: {failed}")
            return made
        yield make


@pytest.fixture
def hosts(make_hosts):
    """Of two servers and two workers, one each."""
    return make_hosts({("ps", 0): 1, ("ps", 1): 2, ("worker", 0): 3, ("worker", 1): 4})


@pytest.fixture
def spread(cluster, hosts, tmp_path):
    """A job whose tasks are on these hosts, each in a working folder of its own."""
    def make(story, address=None, **flags):
        token = tmp_path / "token"
        token.touch(mode=0o600)
        token.write_text("a-secret-of-all-the-hosts\n")
        job = cluster(ps_hosts=hosts.addresses("ps", address),
                      worker_hosts=hosts.addresses("worker", address),
                      common={"auth_token_file": token}, **story.flags | flags)
        job.wrap = hosts.exec_in
        job.folder_of = lambda task: job.folder / "{}{}".format(*task)
        return job
    return make


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
    """Long enough to be disturbed several times, on a fast machine too: 3,000 steps."""
    folder = tmp_path_factory.mktemp("medium")
    return Training(folder, None, model_file=write_model(folder), shuffle_block=1000, seed=5,
                 train_files=synth("clicks", 60000, files=3), train_batch_size=100, epoch_number=5)
