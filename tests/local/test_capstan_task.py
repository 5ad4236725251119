"""capstan-task: programs that know nothing of each other's end, as containers would run them."""

import os
import signal
import socket
import subprocess

import pytest

import program
from local_run import until

TASK = program.BUILD / "capstan-task"
# As TensorFlow's server: it never ends, and nobody tells it anything.
NEVER_ENDS = "trap 'echo asked >&2; exit 0' TERM; echo up >&2; while :; do sleep 0.05; done"


@pytest.fixture
def tasks(tmp_path):
    """tasks(name, script, …): starts a task of a job of one chief and two servers."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    started = []

    def start(name, script, job="story", **flags):
        role, index = name.split("-")
        flags = {"job": job, "tasks": "chief:1,ps:2", "role": role, "index": index,
                 "leaders": f"127.0.0.1:{port}", "token_file": token} | flags
        log = open(tmp_path / f"{name}.log", "w")
        started.append(subprocess.Popen(
            [TASK, *(f"--{flag}={value}" for flag, value in flags.items()), "--",
             "sh", "-c", script], stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        started[-1].log = tmp_path / f"{name}.log"
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


def said(process, text):
    return until(lambda: text in process.log.read_text(), process.log.read_text)


def test_it_is_static():
    assert b"INTERP" not in subprocess.run(["readelf", "-l", TASK], capture_output=True).stdout
    assert TASK.stat().st_size < 4 << 20


def test_servers_end_with_0_when_the_chief_is_done(tasks, tmp_path):
    servers = [tasks("ps-0", NEVER_ENDS), tasks("ps-1", NEVER_ENDS)]
    chief = tasks("chief-0", f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo trained")
    for server in servers:
        said(server, "up")
    (tmp_path / "go").touch()
    assert [chief.wait(30), *(server.wait(30) for server in servers)] == [0, 0, 0]
    said(servers[0], "asked")
    assert "0123456789abcdef" not in "".join(p.log.read_text() for p in [chief, *servers])


def test_a_chief_lost_in_mid_telling_finishes_when_it_is_back(tasks, tmp_path):
    first = tasks("ps-0", NEVER_ENDS)
    chief = tasks("chief-0", "exit 0")
    said(first, "asked")  # told; the other server is not there yet
    chief.send_signal(signal.SIGKILL)
    chief.wait()
    assert first.poll() is None
    second = tasks("ps-1", NEVER_ENDS)
    said(second, "up")
    again = tasks("chief-0", f"sleep 20; touch {tmp_path}/trained-again")
    assert [again.wait(30), first.wait(30), second.wait(30)] == [0, 0, 0]
    said(again, "an earlier run of this task has succeeded, says ps-0")
    assert not (tmp_path / "trained-again").exists()


def test_a_failure_for_good_ends_all(tasks):
    server = tasks("ps-0", NEVER_ENDS)
    said(server, "up")
    other = tasks("ps-1", NEVER_ENDS)
    chief = tasks("chief-0", "exit 9")
    assert [server.wait(30), other.wait(30), chief.wait(30)] == [3, 3, 9]
    said(server, "chief-0 has failed for good (exit code 9)")


def test_a_chief_that_is_gone_is_missed(tasks):
    server = tasks("ps-0", NEVER_ENDS, peer_timeout=1, start_timeout=1000)
    chief = tasks("chief-0", NEVER_ENDS, peer_timeout=1, start_timeout=4)
    # The other server never comes: the chief gives up, and says so.
    assert chief.wait(60) == 3
    said(chief, "ps-1 was not heard within 4 s")
    assert server.wait(60) == 3
    said(server, "chief-0 has failed for good")
    server = tasks("ps-0", NEVER_ENDS, start_timeout=1)
    assert server.wait(60) == 3
    said(server, "chief-0 was not heard within 1 s")


def test_codes_and_signals(tasks):
    assert tasks("chief-0", "exit 42", codes="42:7", tasks="chief:1").wait(30) == 7
    chief = tasks("chief-0", "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done",
                  tasks="chief:1")
    said(chief, "up")
    chief.terminate()
    assert chief.wait(30) == 5
    # Whatever a program leaves behind ends with it.
    chief = tasks("chief-0", "setsid sleep 1234.5 & exit 0", tasks="chief:1")
    assert chief.wait(30) == 0
    assert b"1234.5" not in subprocess.run(["ps", "-eo", "args"], capture_output=True).stdout


def test_another_job_and_another_token_are_not_heard(tasks, tmp_path):
    other = tmp_path / "other"
    other.write_text("something else\n")
    chief = tasks("chief-0", NEVER_ENDS)
    said(chief, "up")
    stranger = tasks("ps-0", NEVER_ENDS, token_file=other, start_timeout=2)
    other_job = tasks("ps-1", NEVER_ENDS, job="other", start_timeout=2)
    said(stranger, "refused: a task with another token")
    said(other_job, "refused: a task of another job")
    assert [stranger.wait(60), other_job.wait(60)] == [3, 3]
    assert chief.poll() is None


def test_a_copy_of_itself(tmp_path):
    copy = tmp_path / "capstan-task"
    subprocess.run([TASK, f"--copy_to={copy}"], check=True)
    assert copy.read_bytes() == TASK.read_bytes() and os.access(copy, os.X_OK)
    wrong = subprocess.run([copy, "--leader=x", "--", "true"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert wrong.stderr == "capstan-task: unknown flag '--leader=x', nearest is '--leaders'\n"
