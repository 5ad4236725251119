"""Training over parameter servers and workers is training on one machine: the same bits in sync,
each example once in async, the same files, and it ends by itself."""

import json
import re

import numpy as np
import pytest

import cluster as clusters
import program
from training import Training


def test_alone_is_a_cluster_too(story, cluster):
    job = cluster(servers=1, workers=1, sync=True, **story.flags).start().wait()
    assert job.digest() == story.digest()


@pytest.mark.parametrize("servers, workers", [(1, 2), (2, 1), (2, 3), (3, 2), (5, 8)])
def test_sync_has_the_bits_of_one_machine(story, cluster, servers, workers):
    job = cluster(servers=servers, workers=workers, sync=True, **story.flags).start().wait()
    assert job.digest() == story.digest()
    assert job.counts() == (6000, 6000, 0, 0)


@pytest.mark.parametrize("servers, workers", [(2, 2), (3, 1)])
def test_sync_of_a_script_model(script_story, cluster, servers, workers):
    job = cluster(servers=servers, workers=workers, sync=True, **script_story.flags).start().wait()
    assert job.digest() == script_story.digest()


def test_async_trains_each_example_once(long_story, cluster):
    """And the model is as good, as far as that can be said so early; test_chaos.py trains longer."""
    job = cluster(workers=3, **long_story.flags).start().wait()
    assert job.counts() == (40000, 40000, 0, 0)
    assert abs(long_story.auc(job.checkpoints) - long_story.auc_of_one_machine()) < 0.01


def test_any_number_of_slices_has_the_bits_of_one_machine(tmp_path, story, cluster):
    """Also one that is no power of two."""
    flags = story.flags | {"slices": 11, "train_batch_size": 150}
    one = Training(tmp_path, None, **flags)
    job = cluster(servers=3, workers=3, sync=True, **flags).start().wait()
    assert job.digest() == one.digest()


def test_pulls_that_overlap_steps(long_story, cluster):
    """Exact counts, a model that is as good, and the staleness that it costs is shown."""
    job = cluster(workers=2, overlap_pull=True,
                  **long_story.flags | {"steps_to_validate": 100}).start().wait()
    assert job.counts() == (40000, 40000, 0, 0)
    shown = [float(value) for value in re.findall(r"staleness ([\d.]+)", job.log(job.chief))]
    assert shown and min(shown) > 0.5
    assert abs(long_story.auc(job.checkpoints) - long_story.auc_of_one_machine()) < 0.01


def test_overlap_is_not_for_sync(story, cluster):
    job = cluster(sync=True, overlap_pull=True, **story.flags).start(("worker", 1))
    assert job.exit_code(("worker", 1)) == 2
    assert "--overlap_pull: not with --sync: a step's rows are those" in job.log(("worker", 1))


@pytest.mark.parametrize("flags", [{"sync": True}, {"max_staleness": 1}])
def test_values_in_bf16(long_story, cluster, flags):
    job = cluster(wire_format="bf16", **flags, **long_story.flags).start().wait()
    assert job.counts() == (40000, 40000, 0, 0)
    assert abs(long_story.auc(job.checkpoints) - long_story.auc_of_one_machine()) < 0.01


def values(reader, name):
    """Of a variable; rows of a table in the order of their keys, which is another in each run."""
    found = reader.get_tensor(name)
    table = re.match(r"(tables/\w+?)(?:/(filtered)?|-)", name)
    if not table:
        return found
    keys = "/filtered-keys" if table[2] else "-keys"
    return found[np.argsort(reader.get_tensor(table[1] + keys).view(np.uint64))]


def test_files_that_a_cluster_leaves(story, cluster):
    """What the article shows; TensorFlow reads variables that lay on two servers as whole ones."""
    job = cluster(sync=True, **story.flags | {"output_path": None, "model_path": "export",
                                              "steps_to_validate": 20})
    job.start().wait()
    names = {path.name for path in job.checkpoints.iterdir()}
    assert {"checkpoint", "graph.pbtxt", "model.ckpt-60.index", "model.ckpt-60.meta"} <= names
    assert any(name.startswith("events.out.tfevents.") for name in names)
    assert not [name for name in names if ".tmp" in name or ".part-" in name]
    assert (job.folder / "export/1/saved_model.pb").exists()

    tf = pytest.importorskip("tensorflow")
    one = tf.train.load_checkpoint(str(program.newest_checkpoint(story.one_machine())))
    both = tf.train.load_checkpoint(str(job.checkpoints / "model.ckpt-60"))
    shapes = both.get_variable_to_shape_map()
    assert shapes == one.get_variable_to_shape_map()
    for name in set(shapes) - {"capstan/model_file", "capstan/best_validation"}:
        assert (values(both, name) == values(one, name)).all(), name


# Going on from each other's checkpoints -----------------------------------------------------------


@pytest.mark.parametrize("servers", [1, 3, 5])
def test_any_number_of_servers_goes_on(story, cluster, servers):
    job = cluster(servers=2, sync=True, max_steps=25, **story.flags).start().wait()
    assert job.steps() == 25
    rest = cluster("rest", servers=servers, sync=True,
                   **story.flags | {"checkpoint_path": job.checkpoints}).start().wait()
    assert f"Restore session from checkpoint: {job.checkpoints}/model.ckpt-25" in rest.log(
        rest.chief)
    assert job.digest() == story.digest()


def test_one_machine_goes_on_from_a_cluster(story, cluster):
    job = cluster(sync=True, max_steps=25, **story.flags).start().wait()
    said = program.train(None, **story.flags | {"checkpoint_path": job.checkpoints}).stderr
    assert "Restore session from checkpoint" in said
    assert job.digest() == story.digest()


def test_a_cluster_goes_on_from_one_machine(story, cluster):
    job = cluster(servers=3, sync=True, **story.flags)
    program.train(None, **story.flags | {"checkpoint_path": job.checkpoints, "max_steps": 25})
    job.start().wait()
    assert job.digest() == story.digest()


# Other ways to say it -----------------------------------------------------------------------------


def test_tf_config(story, cluster):
    """No flags of a cluster; a chief that is not worker 0."""
    job = cluster(servers=2, workers=2, sync=True, **story.flags)
    chief, worker = job.worker_hosts
    hosts = {"chief": [chief], "ps": job.ps_hosts, "worker": [worker]}
    flags = {"ps_hosts": None, "worker_hosts": None, "job_name": None, "task_index": None}
    for role, index in [("chief", 0), ("ps", 0), ("ps", 1), ("worker", 0)]:
        config = {"cluster": hosts, "task": {"type": role, "index": index}}
        job.start((role, index), env={"TF_CONFIG": json.dumps(config)}, **flags)
    job.wait()
    assert job.digest() == story.digest()


def test_two_servers_at_one_address(story, cluster):
    ports = clusters.free_ports(2)
    job = cluster(ps_hosts=[f"localhost:{port}" for port in ports], sync=True, **story.flags)
    job.start().wait()
    assert job.digest() == story.digest()


def test_evaluator(story, cluster):
    job = cluster(sync=True, checkpoint_secs=0, checkpoint_steps=20, **story.flags)
    job.start().start(("evaluator", 0), validation_files=story.validation)
    job.wait()
    assert "Step: 60, " in job.log(("evaluator", 0))


def test_max_steps_in_async(story, cluster):
    """Exactly so many, and what is open then is done by whoever goes on."""
    job = cluster(workers=3, max_steps=20, **story.flags).start().wait()
    assert job.steps() == 20
    flags = story.flags | {"checkpoint_path": job.checkpoints}
    cluster("more", workers=2, max_steps=33, **flags).start().wait()
    assert job.steps() == 33
    rest = cluster("rest", **flags).start().wait()
    assert rest.counts() == (6000, 6000, 0, 0)


def test_more_tasks_than_processors(story, cluster):
    job = cluster(servers=4, workers=32, common={"worker_timeout": 30}, **story.flags)
    job.start().wait(150)
    assert job.counts() == (6000, 6000, 0, 0)
