"""A disk that is full, or that cannot be written, in the middle of a checkpoint, an export, a set of
predictions: one sentence, exit 1, what was there before stays whole, and nothing half-written stays."""

import os
import pathlib
import resource
import signal
import subprocess

import pytest

import program


def run_with_limit(command, limit_bytes, **flags):
    """No file may grow beyond the limit: writing ends as on a full disk, with an error."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    return subprocess.run(program.arguments(command, [], flags), text=True, capture_output=True,
                          timeout=program.TIME_LIMIT_S, preexec_fn=limit)


def one_sentence(done, command):
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("capstan ")]
    assert len(lines) == 1 and lines[0].startswith(f"capstan {command}: "), done.stderr
    return lines[0]


def contents(folder):
    """{path: bytes} of all files."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def files(synth):
    return synth("dense", 1000)


@pytest.fixture
def job(files):
    return {"train_files": files, "model": "wide_and_deep", "output_path": "none",
            "steps_to_validate": 0, "quiet": True, "threads": 2}


@pytest.fixture
def begun(tmp_path, job):
    """A run that stopped after 20 steps: tmp_path/ck has its checkpoint."""
    program.run("train", checkpoint_path=tmp_path / "ck", model_path="none", max_steps=20, **job)
    return tmp_path / "ck"


@pytest.mark.parametrize("limit_bytes", [0, 100, 5000, 40000])
def test_disk_full_in_a_checkpoint(job, begun, tmp_path, limit_bytes):
    """At 40,000 bytes it is the tensors that do not fit, at less the small files before them."""
    before, digest = contents(begun), program.digest(begun)
    done = run_with_limit("train", limit_bytes, checkpoint_path=begun, max_steps=40,
                          model_path=tmp_path / "export", **job)
    said = one_sentence(done, "train")
    assert "ck/checkpoint" in said and "File too large" in said
    assert contents(begun) == before
    assert not (tmp_path / "export").exists()
    # Space is back: the run goes on as if nothing had been.
    program.run("train", checkpoint_path=begun, max_steps=40, model_path="none", **job)
    program.run("train", checkpoint_path=tmp_path / "other", max_steps=40, model_path="none", **job)
    assert program.digest(begun) == program.digest(tmp_path / "other") != digest


def test_disk_full_in_a_checkpoint_in_mid_training(job, begun):
    """Checkpoints that are written while training goes on: the run stops soon, not at its end."""
    before = contents(begun)
    done = run_with_limit("train", 40000, checkpoint_path=begun, epoch_number=10000,
                          checkpoint_steps=10, model_path="none", **job)
    one_sentence(done, "train")
    assert contents(begun) == before


@pytest.mark.parametrize("limit_bytes", [100, 10000])
def test_disk_full_in_an_export(job, begun, tmp_path, limit_bytes):
    base = tmp_path / "export"
    program.run("export", checkpoint_path=begun, model_path=base)
    before = contents(base)
    done = run_with_limit("export", limit_bytes, checkpoint_path=begun, model_path=base)
    assert f"export to {base}" in one_sentence(done, "export")
    assert contents(base) == before and sorted(p.name for p in base.iterdir()) == ["1"]
    program.run("export", checkpoint_path=begun, model_path=base)
    assert program.digest(base / "2") == program.digest(base / "1")


@pytest.mark.parametrize("output", ["p.csv", "p.json", "p.tfrecord"])
def test_disk_full_in_predictions(begun, files, tmp_path, output):
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / output
    flags = {"checkpoint_path": begun, "files": files, "output": path, "quiet": True}
    done = run_with_limit("predict", 5000, **flags)
    assert str(path) in one_sentence(done, "predict")
    assert not contents(tmp_path / "out")
    program.run("predict", **flags)
    before = contents(tmp_path / "out")
    run_with_limit("predict", 5000, **flags)
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("kind", ["clicks", "dense"])
def test_disk_full_in_synth(tmp_path, kind):
    done = run_with_limit("synth", 20000, kind=kind, rows=3000, files=2, output=tmp_path / "s" / "x")
    one_sentence(done, "synth")
    assert not contents(tmp_path)


# Places that cannot be written --------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["checkpoint_path", "output_path", "model_path"])
@pytest.mark.parametrize("place", ["file", "file/folder"])
def test_a_file_where_a_folder_should_be(files, tmp_path, flag, place):
    (tmp_path / "file").write_text("precious")
    done = program.train(tmp_path, train_files=files, epoch_number=1, quiet=True, exit_code=1,
                         **{flag: tmp_path / place})
    said = one_sentence(done, "train")
    assert str(tmp_path / place) in said and "Not a directory" in said
    assert (tmp_path / "file").read_text() == "precious"


class Mount:
    """A small tmpfs of its own; a skip where this user may not mount."""

    def __init__(self, folder, options):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        if os.geteuid() != 0:
            pytest.skip("mounting a small disk wants root")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
                              capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"cannot mount a small disk here: {done.stderr.strip()}")

    def remount(self, options):
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.folder)], check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


def test_a_disk_that_fills_up(job, tmp_path):
    """A real one of 384 KB: room for one checkpoint and some, not for the next."""
    with Mount(tmp_path / "disk", "size=384k"):
        folder = tmp_path / "disk" / "ck"
        program.run("train", checkpoint_path=folder, model_path="none", max_steps=20, **job)
        before = contents(folder)
        (tmp_path / "disk" / "ballast").write_bytes(b"x" * (384 * 1024 - sum(
            4096 * -(-len(b) // 4096) for b in before.values()) - 40 * 1024))
        done = program.run("train", exit_code=1, checkpoint_path=folder, model_path="none",
                           max_steps=40, **job)
        said = one_sentence(done, "train")
        assert "No space left on device" in said and str(folder) in said
        assert contents(folder) == before
        done = program.run("export", exit_code=1, checkpoint_path=folder,
                           model_path=tmp_path / "disk" / "export")
        assert "No space left on device" in one_sentence(done, "export")
        assert not contents(tmp_path / "disk" / "export")
        (tmp_path / "disk" / "ballast").unlink()
        program.run("train", checkpoint_path=folder, model_path="none", max_steps=40,
                    keep_checkpoints=1, **job)
        assert str(program.newest_checkpoint(folder)).endswith("-40")


def test_a_disk_that_becomes_read_only(job, tmp_path):
    with Mount(tmp_path / "disk", "size=4m") as disk:
        folder = tmp_path / "disk" / "ck"
        program.run("train", checkpoint_path=folder, model_path="none", max_steps=20, **job)
        before = contents(folder)
        disk.remount("ro")
        for command, flags in [
            ("train", {**job, "checkpoint_path": folder, "model_path": "none", "max_steps": 40}),
            ("train", {**job, "checkpoint_path": "none", "model_path": folder / "export"}),
            ("export", {"checkpoint_path": folder, "model_path": folder / "export"}),
            ("predict", {"checkpoint_path": folder, "files": job["train_files"],
                         "output": folder / "p.csv", "quiet": True}),
            ("synth", {"kind": "dense", "rows": 10, "output": folder / "x"})]:
            said = one_sentence(program.run(command, exit_code=1, **flags), command)
            assert "Read-only file system" in said and str(folder) in said
        assert contents(folder) == before
