"""Checkpoints of a cluster: of tasks that share no folder, over kills, and what servers save when
their chief is gone for good."""

import pytest

import program
from cluster import until

SERVER, OTHER_SERVER = ("ps", 0), ("ps", 1)
CHIEF, WORKER = ("worker", 0), ("worker", 1)
NOT_SEEN = "the folder ck of worker 0 is not seen from here"


EXAMPLES = 300_000  # of medium_story


def newest_step(job):
    """-1: there is none."""
    try:
        return job.steps()
    except (FileNotFoundError, IndexError):
        return -1


def wait_for_step(job, step):
    until(lambda: newest_step(job) >= step or job.has_ended(job.chief),
          lambda: f"a checkpoint of step {step}\n{job.logs()}")


# Hosts that share no disk -------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [{"sync": True}, {}])
def test_folders_of_their_own(medium_story, cluster, flags):
    """Servers and the chief are killed on the way; the chief's folder alone holds everything."""
    job = cluster(own_folders=True, checkpoint_secs=0, checkpoint_steps=100, **flags,
                  **medium_story.flags)
    job.start(OTHER_SERVER, CHIEF, WORKER).start(SERVER, checkpoint_path="of_its_own")
    wait_for_step(job, 100)
    job.kill(SERVER)
    job.start(SERVER)
    wait_for_step(job, newest_step(job) + 100)
    job.kill(CHIEF)
    job.start(CHIEF)
    job.wait_for_log(CHIEF, "Restore session from checkpoint: ck/model.ckpt-")
    job.kill(OTHER_SERVER)
    job.start(OTHER_SERVER)
    job.wait()
    for server in [SERVER, OTHER_SERVER]:
        assert NOT_SEEN in job.log(server)
        assert not list(job.folder_of(server).iterdir())
    assert not [path for path in job.checkpoints.iterdir() if ".part-" in path.name]
    if flags:
        assert job.digest() == medium_story.digest()
    assert job.counts() == (EXAMPLES, EXAMPLES, 0, 0)


def test_another_number_of_servers_in_folders_of_their_own(story, cluster):
    job = cluster(own_folders=True, sync=True, max_steps=25, **story.flags).start().wait()
    rest = cluster("rest", servers=3, own_folders=True, sync=True, **story.flags)
    rest.checkpoints.parent.mkdir(parents=True, exist_ok=True)
    job.checkpoints.rename(rest.checkpoints)
    rest.start().wait()
    assert rest.digest() == story.digest()
    tf = pytest.importorskip("tensorflow")
    reader = tf.train.load_checkpoint(str(rest.checkpoints))
    assert reader.get_tensor("global_step") == 60
    for name in reader.get_variable_to_shape_map():
        reader.get_tensor(name)


def test_one_folder_is_seen(story, cluster):
    """Nothing goes over the wire, and another --checkpoint_path of a server is of no account."""
    job = cluster(sync=True, **story.flags)
    job.start(OTHER_SERVER, CHIEF, WORKER).start(SERVER, checkpoint_path="elsewhere")
    job.wait()
    assert "is not seen from here" not in job.log(SERVER) + job.log(OTHER_SERVER)
    assert not (job.folder / "elsewhere").exists()
    assert job.digest() == story.digest()


# A chief that is gone for good --------------------------------------------------------------------


def lose_the_chief(job):
    """In the middle of training; returns where each server says that it has saved."""
    job.wait_for_log(CHIEF, r"Step: \d{3},")
    job.kill(CHIEF)
    places = []
    for server in [SERVER, OTHER_SERVER]:
        assert job.exit_code(server) == 3, job.logs()
        last = job.log(server).strip().splitlines()[-1]
        assert "has heard nothing of the chief" in last
        places.append(last.split("what it holds is saved in ", 1)[1])
    assert job.exit_code(WORKER) == 3
    return places


def test_servers_save_and_the_chief_goes_on_from_it(medium_story, cluster):
    """No step is lost, though there was no checkpoint."""
    job = cluster(sync=True, checkpoint_secs=0, steps_to_validate=100,
                  common={"peer_timeout": 1.5}, **medium_story.flags).start()
    places = lose_the_chief(job)
    step = int(places[0].rsplit("rescue-", 1)[1].split(".")[0])
    assert step >= 100
    assert places == [f"{job.checkpoints}/rescue-{step}.ps-{i}-of-2" for i in range(2)]
    tf = pytest.importorskip("tensorflow")
    for place in places:
        reader = tf.train.load_checkpoint(place)
        assert "tables/C1-keys" in reader.get_variable_to_shape_map()
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
        assert tf.train.load_checkpoint(place + ".state").get_tensor("global_step") == step
    assert tf.train.latest_checkpoint(str(job.checkpoints)) is None

    job.start()
    job.wait_for_log(CHIEF, f"saved by themselves after step {step} is a checkpoint now")
    job.wait()
    assert not list(job.checkpoints.glob("rescue-*"))
    assert job.digest() == medium_story.digest()
    assert job.counts() == (EXAMPLES, EXAMPLES, 0, 0)


@pytest.mark.parametrize("flags, reason", [
    ({}, "parts of asynchronous training are of no one moment|1 of 2 parts of step"),
    ({"sync": True}, "1 of 2 parts of step")])
def test_what_servers_saved_is_left_alone(medium_story, cluster, flags, reason):
    """When it makes no checkpoint, the one before it counts."""
    job = cluster(checkpoint_secs=0, checkpoint_steps=70, steps_to_validate=100,
                  common={"peer_timeout": 1.5}, **flags, **medium_story.flags).start()
    wait_for_step(job, 70)
    lose_the_chief(job)
    if flags:
        for path in job.checkpoints.glob("rescue-*.ps-1-of-2.index"):
            path.unlink()
    job.start()
    job.wait_for_log(CHIEF, rf"is left where it is: .*({reason}).*; going on from step \d+")
    job.wait()
    if flags:
        assert job.digest() == medium_story.digest()
    assert job.counts() == (EXAMPLES, EXAMPLES, 0, 0)


def test_servers_on_hosts_of_their_own_save_there(medium_story, cluster):
    job = cluster(own_folders=True, sync=True, checkpoint_secs=0, steps_to_validate=100,
                  common={"peer_timeout": 1.5}, **medium_story.flags)
    job.start(OTHER_SERVER, CHIEF, WORKER).start(SERVER, checkpoint_path="of_its_own")
    places = lose_the_chief(job)
    for server, place, folder in zip([SERVER, OTHER_SERVER], places, ["of_its_own", "ck"]):
        assert place.startswith(f"{folder}/rescue-")
        assert (job.folder_of(server) / (place + ".index")).exists()
        program.inspect(job.folder_of(server) / place)


def test_a_disk_that_is_full(medium_story, cluster):
    """It ends with 3 all the same, and says why nothing is saved."""
    job = cluster(checkpoint_secs=0, steps_to_validate=100, common={"peer_timeout": 1.5},
                  **medium_story.flags)
    job.wrap = lambda task: ["sh", "-c", 'trap "" XFSZ; ulimit -f 8; exec "$@"', "sh"] if (
        task == SERVER) else []
    job.start()
    job.wait_for_log(CHIEF, r"Step: \d+,")
    job.kill(CHIEF)
    assert job.exit_code(SERVER) == 3, job.logs()
    last = job.log(SERVER).strip().splitlines()[-1]
    assert "what it holds could not be saved: write " in last, last
    assert job.exit_code(OTHER_SERVER) == 3
