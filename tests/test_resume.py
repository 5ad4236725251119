"""Stopping, killing and going on: whatever happens to a run, the checkpoint at its end is the one of
the run that nobody disturbed, bit for bit (`capstan inspect --digest`)."""

import contextlib
import fcntl
import json
import os
import re
import signal
import time

import pytest

import program

OPTIMIZERS = ["sgd", "momentum", "adagrad", "adadelta", "adam", "ftrl", "rmsprop",
              "rowwise_adagrad"]
F_SETPIPE_SZ = 1031
DEADLINE_S = 60

FEATURES = [{"name": "I{1..13}", "type": "float", "log1p": True},
            {"name": "C{1..26}", "type": "id"}]


def model_file(folder, **changes):
    """Wide & deep on clicks with dropout, batch normalisation and measured deviations: everything that
    has a state or a die to throw."""
    model = {"model": "wide_and_deep", "features": FEATURES + [
                 {"name": "I1 raw", "column": "I1", "type": "float", "standardise": True},
                 {"name": "C1xC2", "type": "cross", "of": ["C1", "C2"]}],
             "embedding": {"dim": 4}, "optimizer": {"name": "adagrad", "learning_rate": 0.05},
             "deep": {"hidden": [16, 8], "dropout": 0.2, "batch_norm": True}}
    folder.mkdir(exist_ok=True)
    path = folder / "model.yaml"
    path.write_text(json.dumps(model | changes))
    return path


class Job:
    """The same training run, as often as wanted: 4 epochs of 3 files, 376 steps."""

    def __init__(self, folder, synth, gzip=True, flags=None, **changes):
        flags = flags or {"train_batch_size": 32, "shuffle_block": 500, "epoch_number": 4}
        self.flags = {
            "model_file": model_file(folder, **changes), "seed": 5, "threads": 2,
            "train_files": synth("clicks", 3000, files=3, gzip=gzip), "output_path": "none",
            "model_path": "none", "steps_to_validate": 0, **flags}

    def finish(self, folder, **flags):
        """Goes on to the end; what it said."""
        return program.run("train", **self.flags | {"checkpoint_path": folder} | flags).stderr

    def digest(self, folder, **flags):
        self.finish(folder, **flags)
        return program.digest(folder)

    def disturb(self, folder, how, after_step, **flags):
        """A signal when the run has said that it is at a step. Its pipe is so small that it cannot
        run far ahead of what is read here. Returns exit code and stderr."""
        flags = self.flags | {"checkpoint_path": folder, "steps_to_validate": 1} | flags
        process = program.start("train", **flags)
        fcntl.fcntl(process.stderr, F_SETPIPE_SZ, 4096)
        said = []
        for line in process.stderr:
            said.append(line)
            step = re.search(r"Step: (\d+)", line)
            if step and int(step[1]) >= after_step:
                process.send_signal(how)
                break
        said += process.stderr.readlines()
        return process.wait(), "".join(said)


def steps_of(folder):
    return int(str(program.newest_checkpoint(folder)).rsplit("-", 1)[1])


@pytest.fixture(scope="module")
def job(tmp_path_factory, synth):
    return Job(tmp_path_factory.mktemp("job"), synth)


@pytest.fixture(scope="module")
def undisturbed(job, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "ck"
    digest = job.digest(folder)
    assert steps_of(folder) == 376
    return digest


@pytest.mark.parametrize("flags", [
    {"threads": 1}, {"threads": 3}, {"input_threads": 3}, {"input_threads": 0},
    {"checkpoint_steps": 7, "keep_checkpoints": 2}, {"steps_to_validate": 10}])
def test_same_bits_however_it_is_run(job, undisturbed, tmp_path, flags):
    assert job.digest(tmp_path / "ck", **flags) == undisturbed


def test_other_seeds_are_other_runs(job, undisturbed, tmp_path):
    assert job.digest(tmp_path / "ck", seed=6) != undisturbed


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_stopped_and_resumed(job, undisturbed, tmp_path, how):
    """Twice, in different epochs, and by another number of threads afterwards."""
    folder = tmp_path / "ck"
    stopped_at = []
    for after_step in [30, 210]:
        exit_code, said = job.disturb(folder, how, after_step)
        assert exit_code == 143, said
        assert "the same command goes on from here" in said
        stopped_at.append(steps_of(folder))
    assert 30 <= stopped_at[0] < stopped_at[1] < 376
    said = job.finish(folder, threads=1)
    assert f"Restore session from checkpoint: {folder}/checkpoint.ckpt-{stopped_at[1]}" in said
    assert program.digest(folder) == undisturbed


def test_nothing_is_left_to_do(job, undisturbed, tmp_path):
    """A run that is done and started again trains nothing, and changes nothing."""
    folder = tmp_path / "ck"
    job.finish(folder)
    job.finish(folder)
    assert steps_of(folder) == 376
    assert program.digest(folder) == undisturbed


def test_killed_and_resumed(job, undisturbed, tmp_path):
    folder = tmp_path / "ck"
    for after_step in [25, 60, 200]:
        exit_code, said = job.disturb(folder, signal.SIGKILL, after_step, checkpoint_steps=9)
        assert exit_code == -signal.SIGKILL, said
        assert steps_of(folder) % 9 == 0
    assert job.digest(folder) == undisturbed


def test_plain_files_are_the_same_run(job, undisturbed, synth, tmp_path):
    plain = Job(tmp_path, synth, gzip=False)
    exit_code, said = plain.disturb(tmp_path / "ck", signal.SIGTERM, 100)
    assert exit_code == 143, said
    assert plain.digest(tmp_path / "ck") == undisturbed


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_goes_on(tmp_path, synth, optimizer):
    job = Job(tmp_path, synth, optimizer={"name": optimizer, "learning_rate": 0.01},
              flags={"train_batch_size": 64, "epoch_number": 2, "shuffle_block": 1000})
    whole = job.digest(tmp_path / "whole")
    job.finish(tmp_path / "parts", max_steps=13, threads=1)
    assert steps_of(tmp_path / "parts") == 13
    job.finish(tmp_path / "parts", max_steps=60)
    assert job.digest(tmp_path / "parts") == whole


def test_admission_and_expiry_go_on(tmp_path, synth):
    """Rows that are counted but not yet admitted, and rows that are about to expire."""
    job = Job(tmp_path, synth,
              embedding={"dim": 4, "admission_count": 30, "expiry_steps": 40})
    whole = job.digest(tmp_path / "whole")
    newest = program.inspect(program.newest_checkpoint(tmp_path / "whole"))
    shapes = {tensor["name"]: tensor["shape"] for tensor in newest["tensors"]}
    filtered = sum(shapes[name][0] for name in shapes if name.endswith("filtered-keys"))
    assert filtered > 0
    folder = tmp_path / "disturbed"
    for how, after_step in [(signal.SIGTERM, 20), (signal.SIGKILL, 90), (signal.SIGTERM, 210)]:
        job.disturb(folder, how, after_step, checkpoint_steps=11)
    assert steps_of(folder) < 376
    assert job.digest(folder) == whole

    kept = Job(tmp_path, synth, embedding={"dim": 4, "admission_count": 30})
    assert kept.digest(tmp_path / "kept") != whole  # something did expire


@pytest.mark.parametrize("model", [{"model": "dlrm", "bottom": {"hidden": [8, 4]}},
                                   {"model": "deepfm"}, {"model": "fm", "deep": {}},
                                   {"model": "lr", "deep": {}}])
def test_every_kind_goes_on(tmp_path, synth, model):
    job = Job(tmp_path, synth, **model)
    whole = job.digest(tmp_path / "whole")
    exit_code, said = job.disturb(tmp_path / "parts", signal.SIGTERM, 50)
    assert exit_code == 143, said
    assert job.digest(tmp_path / "parts", threads=1) == whole


def test_best_checkpoint_goes_on(job, tmp_path, synth):
    """The best validation so far is remembered over a stop, and its checkpoint is kept."""
    flags = {"validation_files": synth("clicks", 500, first_row=50000), "steps_to_validate": 20,
             "keep_checkpoints": 1}
    folders = [tmp_path / "whole", tmp_path / "parts"]
    job.finish(folders[0], **flags)
    job.finish(folders[1], max_steps=200, **flags)
    job.finish(folders[1], **flags)
    best = [(folder / "best_checkpoint").read_text().strip() for folder in folders]
    assert best[0] == best[1]
    assert program.digest(folders[0]) == program.digest(folders[1])
    digests = [program.digest(folder / name) for folder, name in zip(folders, best)]
    assert digests[0] == digests[1]


def test_from_scratch_replaces(job, undisturbed, tmp_path):
    folder = tmp_path / "ck"
    job.finish(folder, max_steps=50, seed=9, checkpoint_steps=10)
    assert job.digest(folder, mode="train_from_scratch") == undisturbed
    assert sorted(p.name for p in folder.glob("*.index")) == ["checkpoint.ckpt-376.index"]


# Kills while a checkpoint is written --------------------------------------------------------------


def files_in(folder):
    """{(name, time of the last change)}; files may come and go meanwhile."""
    found = set()
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):
            found.add((entry.name, entry.stat().st_mtime_ns))
    return found


def wait_for(process, folder, ending, before):
    """Until a file comes whose name ends so and that was not there before. False: the run ended."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if any(name.endswith(ending) for name, _ in files_in(folder) - before):
            return True
        if process.poll() is not None:
            return False
    raise TimeoutError(f"no file *{ending} in {folder} within {DEADLINE_S} s")


def test_killed_while_writing_a_checkpoint(tmp_path, synth):
    """At each stage of writing, several times: the checkpoint that the state file names is whole, the
    next run begins with it and leaves no litter, and the end is as if nothing had happened."""
    job = Job(tmp_path, synth, embedding={"dim": 64},
              flags={"train_batch_size": 32, "epoch_number": 1000, "checkpoint_steps": 10})
    folder = tmp_path / "ck"
    job.finish(folder, max_steps=10)
    for ending in [".data-00000-of-00001.tmp", ".meta.tmp", ".data-00000-of-00001", ".meta",
                   ".index.tmp", ".index", "checkpoint.tmp"] * 2:
        before = files_in(folder)
        step = steps_of(folder)
        process = program.start("train", **job.flags | {"checkpoint_path": folder, "quiet": True})
        ended = not wait_for(process, folder, ending, before)
        process.kill()
        said = process.communicate()[1]
        assert not ended, said
        assert steps_of(folder) >= step
        shown = program.inspect(program.newest_checkpoint(folder))
        assert any(tensor["name"] == "tables/C1/embedding" for tensor in shown["tensors"])
    last = steps_of(folder) + 15  # beyond what a killed run may have written and not listed
    said = job.finish(folder, max_steps=last)
    assert f"Restore session from checkpoint: {folder}/checkpoint.ckpt-{last - 15}" in said
    assert not list(folder.glob("*.tmp*"))
    state = (folder / "checkpoint").read_text()
    listed = set(re.findall(r'all_model_checkpoint_paths: "(.*)"', state))
    assert {p.name.removesuffix(".index") for p in folder.glob("*.index")} == listed
    digest = job.digest(tmp_path / "undisturbed", max_steps=last, checkpoint_steps=0)
    assert program.digest(folder) == digest
