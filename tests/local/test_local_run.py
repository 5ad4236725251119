"""`capstan run`: a job as processes of this machine."""

import os
import re
import shutil
import signal

import pytest

import program
from local_run import until

COUNTS = re.compile(r"examples: ([\d,]+) of ([\d,]+), ([\d,]+) twice, ([\d,]+) skipped")
NEVER_ENDS = "echo up as $CAPSTAN_ROLE; trap 'echo asked; exit 0' TERM; while :; do sleep 0.05; done"


def counts(text):
    found = COUNTS.findall(text)
    assert found, text
    return tuple(int(number.replace(",", "")) for number in found[-1])


def shell(worker, ps=NEVER_ENDS, **keys):
    """A job of somebody else's programs: a worker that leads, one more, and a server."""
    return {"name": "shell", "worker": {"replicas": 2, "command": ["sh", "-c", worker]},
            "ps": {"replicas": 1, "command": ["sh", "-c", ps]}} | keys


@pytest.mark.parametrize("sync", [False, True])
def test_two_servers_and_two_workers(run, clicks, sync, tmp_path):
    job = run(clicks(sync=sync))
    text = job.wait()
    assert counts(text) == (20000, 20000, 0, 0)
    assert re.search(r"^worker-0 \| .* Step: \d+", text, re.M)
    assert re.search(r"job clicks succeeded after", text)
    assert not job.living()
    assert program.newest_checkpoint(tmp_path / "ck").name == "model.ckpt-200"
    # All that was, for another terminal.
    status = job.status("clicks")
    assert status["state"] == "succeeded" and len(status["tasks"]) == 4
    assert job.task("clicks", "worker-0")["step"] == 200
    assert "Step: " in job.verb("logs", "clicks", "--tasks=worker-0")
    job.verb("delete", "clicks")
    assert "no job clicks" in job.verb("status", "clicks", exit_code=1)


@pytest.mark.parametrize("victim", ["worker", "ps"])
def test_a_kill_in_the_middle(run, clicks, victim):
    job = run(clicks(rows=60000, epoch_number=8, checkpoint_steps=500))
    job.wait_for(r"worker-0 +\| .* Step: \d+")
    os.kill(job.pid_of(f'"task":{{"type":"{victim}","index":1}}'), signal.SIGKILL)
    text = job.wait()
    assert f"{victim}-1 restarting: ended with 137 (SIGKILL), starts again in 1 s" in text
    assert counts(text) == (480000, 480000, 0, 0)
    assert job.task("clicks", f"{victim}-1")["restarts"] == 1


def test_ctrl_c_saves_and_ends_all(run, clicks, tmp_path):
    job = run(clicks(rows=60000, epoch_number=50))
    job.wait_for(r"worker-0 +\| .* Step: \d+")
    job.signal(signal.SIGINT)
    text = job.wait(exit_code=130)
    assert "the tasks are asked to end" in text and "job clicks was stopped" in text
    assert not job.living()
    assert int(program.newest_checkpoint(tmp_path / "ck").name.split("-")[1]) > 0
    assert "no job clicks" in job.verb("status", "clicks", exit_code=1)


def test_sigterm_gives_143(run):
    job = run(shell("while :; do sleep 0.05; done"))
    job.wait_for("up as ps")
    job.signal(signal.SIGTERM)
    assert "ps-0     | asked" in job.wait(exit_code=143)
    assert not job.living()


def test_a_second_ctrl_c_kills(run):
    stubborn = "trap '' TERM INT; echo up; while :; do sleep 0.05; done"
    job = run(shell(stubborn, stubborn))
    job.wait_for("ps-0 +\\| up")
    job.signal(signal.SIGINT)
    job.wait_for("a second one kills them")
    job.signal(signal.SIGINT)
    job.wait(exit_code=130)
    until(lambda: not job.living(), "the end of all")


def test_kill_9_of_capstan_leaves_no_process(run):
    # A grandchild in a session of its own, deaf to signals.
    deaf = "setsid sh -c \"trap '' TERM HUP; echo deaf; while :; do sleep 0.05; done\" & wait"
    job = run(shell(deaf, deaf))
    job.wait_for("ps-0 +\\| deaf")
    assert len(job.living()) > 6
    job.process.kill()
    job.process.wait()
    until(lambda: not job.living(), lambda: f"the end of {job.living()}", seconds=10)
    status = job.status("shell")
    assert status["state"] == "failed" and "is gone" in status["reason"]
    # The name is free again.
    again = run(shell("exit 0"))
    again.wait()


def test_a_server_of_somebody_else_that_never_ends(run):
    job = run(shell("echo done; exit 0"))
    text = job.wait()
    assert "up as ps" in text and "ps-0     | asked" in text
    assert job.status("shell")["state"] == "succeeded"


def test_all_workers_must_be_done(run, tmp_path):
    job = run(shell("case \"$TF_CONFIG\" in *'\"worker\",\"index\":0'*) exit 0;; esac; "
                    f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done", done_when="all_workers"))
    job.wait_for("job shell running")
    until(lambda: job.task("shell", "worker-0")["state"] == "succeeded", job.text)
    assert job.status("shell")["state"] != "ending"
    (tmp_path / "go").touch()
    job.wait()


def test_a_failure_for_good_ends_the_job(run):
    job = run(shell("echo so long; exit 7"))
    text = job.wait(exit_code=1)
    assert re.search(r"job shell failed after .* s: shell-worker-\d ended with 7", text)
    assert not job.living()


def test_what_cannot_run_is_a_sentence(run):
    job = run(shell("exit 0") | {"worker": {"replicas": 1, "command": ["pyhton3", "train.py"]}})
    assert "cannot start: run pyhton3: no such program in PATH" in job.wait(exit_code=1)


@pytest.mark.parametrize("text,message", [
    ("name: x\nworkr: {}\n", "workr"),
    ("name: X_Y\nworker: {command: [a]}\n", "X_Y"),
    ("name: x\nworker: {replicas: 1}\n", "command"),
    ("name: [", "job.yaml"),
])
def test_bad_files(run, text, message):
    job = run(text)
    said = job.wait(exit_code=1)
    assert message in said and said.startswith("capstan run: ") and said.count("\n") == 1
    assert not (job.runtime / "capstan").exists()


def test_wrong_flags_and_engines(run):
    assert "nearest is --quiet" in run(shell("exit 0"), "--quite").wait(exit_code=2)
    assert "flag --engine" in run(shell("exit 0"), "--engine=podman").wait(exit_code=2)
    assert "two" not in run("name: x", "other.yaml").wait(exit_code=2)


def test_two_runs_of_one_name(run):
    job = run(shell("while :; do sleep 0.05; done"))
    job.wait_for("up as ps")
    second = run(shell("exit 0"), env={"XDG_RUNTIME_DIR": str(job.runtime)}, folder="second")
    assert "job shell runs on this machine already" in second.wait(exit_code=1)
    assert job.process.poll() is None


def test_other_terminals(run):
    job = run(shell("echo Step: 7, 90 examples/s; while :; do sleep 0.05; done"))
    job.wait_for("up as ps")
    assert "job shell running" in job.verb("status")
    table = job.verb("status", "shell")
    assert re.search(r"^worker-0 +running +127\.0\.0\.1:\d+ +7 +90 +0 ", table, re.M), table
    assert "cannot" not in table
    assert "know each other from their start" in job.verb("scale", "worker=3", "shell", exit_code=1)
    assert "unknown role" in job.verb("scale", "wroker=3", "shell", exit_code=2)
    assert "ps-0     | up as ps" in job.verb("logs", "shell", "--tasks=ps-0", "--tail=1")
    assert "has no task" in job.verb("logs", "shell", "--tasks=ps-7", exit_code=1)
    job.verb("suspend", "shell")
    until(lambda: job.status("shell")["state"] == "suspended", job.text)
    assert len(job.living()) == 1  # capstan run
    job.verb("resume", "shell")
    until(lambda: job.status("shell")["state"] == "running", job.text)
    job.verb("delete", "shell")
    assert "job shell was deleted" in job.wait(exit_code=143)
    assert not job.living()
    assert list((job.runtime / "capstan").iterdir()) == []
    assert "use `capstan run" in job.verb("submit", str(job.folder / "job.yaml"), exit_code=2)


def test_quiet_shows_the_lead_and_changes(run):
    job = run(shell("echo me; exit 0"), "--quiet")
    text = job.wait()
    assert "worker-0 | me" in text and "worker-1 |" not in text and "ps-0" not in text
    assert "job shell succeeded" in text


def test_a_terminal_gets_colours_and_a_table(run):
    job = run(shell("echo Step: 3; sleep 2; exit 0"), terminal=True)
    seen = b""
    while True:
        try:
            piece = os.read(job.master, 4096)
        except OSError:  # all have closed it
            break
        if not piece:
            break
        seen += piece
    text = seen.decode()
    assert "\033[36m" in text and "TASK" in text and "EXAMPLES/S" in text and "\033[J" in text
    job.wait()
    assert "\033" not in job.err.read_text()


def test_the_example_as_it_is(run, synth, tmp_path):
    """examples/two-ps-two-workers/job.yaml, with data beside it as its README says."""
    example = tmp_path / "example"
    shutil.copytree(program.ROOT / "examples" / "two-ps-two-workers", example)
    data = example / "clicks"
    data.mkdir(exist_ok=True)
    shutil.copy(program.ROOT / "examples" / "clicks" / "model.yaml", data / "model.yaml")
    for split, row in (("train", 0), ("valid", 50000)):
        program.run("synth", kind="clicks", rows=4000, output=data / split, scale=0.0005, seed=1,
                    first_row=row)
        for path in data.glob(f"{split}-*"):
            if path.suffix != ".tfrecord":
                path.rename(path.with_name(path.name + ".tfrecord"))
    text = run(example / "job.yaml").wait(seconds=180)
    assert "job two-ps-two-workers succeeded" in text
    assert (data / "checkpoint" / "checkpoint").exists()


@pytest.mark.parametrize("job,last", [("job.yaml", "worker 0 is done"),
                                      ("strategy.yaml", "the chief is done")])
def test_tensorflow_scripts_end_though_their_servers_never_do(run, job, last):
    python = os.path.dirname(os.sys.executable)
    started = run(program.ROOT / "examples" / "tensorflow-script" / job,
                  env={"PATH": f"{python}:{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": "",
                       "TF_CPP_MIN_LOG_LEVEL": "2"})
    text = started.wait(seconds=300)
    assert last in text and re.search(r"Step: \d+, loss", text), text
    assert "serves until somebody ends it" in text
    assert not started.living()
