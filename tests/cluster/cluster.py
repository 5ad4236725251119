"""A job of several processes on this machine: starts its tasks, disturbs them, and waits for them,
always with a deadline. Whatever a test does, no task outlives it."""

import ctypes
import json
import os
import random
import re
import signal
import socket
import subprocess
import time

import program
from waiting import until

DEADLINE_S = 60
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
COUNTS = re.compile(r"examples: ([\d,]+) of ([\d,]+), ([\d,]+) twice, ([\d,]+) skipped")

# What has a state or a die to throw: dropout, rows that are admitted late and expire, Adam.
MODEL = {"model": "wide_and_deep",
         "features": [{"name": "I{1..13}", "type": "float", "log1p": True},
                      {"name": "C{1..26}", "type": "id"}],
         "deep": {"hidden": [16, 8], "dropout": 0.1}, "wide": {"optimizer": "ftrl"},
         "embedding": {"dim": 4, "admission_count": 3, "expiry_steps": 9}, "optimizer": "adam"}


def free_ports(count):
    """Below those that the kernel gives to callers: a task that is started again finds its own."""
    sockets = []
    while len(sockets) < count:
        one = socket.socket()  # without SO_REUSEADDR, by which one port could be had twice
        try:
            one.bind(("127.0.0.1", random.SystemRandom().randrange(10_000, 32_000)))
            sockets.append(one)
        except OSError:
            one.close()
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Cluster:
    """Tasks are ("ps", 0), ("worker", 1), ("evaluator", 0) or, by TF_CONFIG, ("chief", 0). `flags`
    are those of training, which servers do not get; `common` those of every task."""

    def __init__(self, folder, servers=2, workers=2, common=None, ps_hosts=None, worker_hosts=None,
                 own_folders=False, **flags):
        """`own_folders`: each task works in a folder of its own, and none sees the chief's
        checkpoints, as on hosts that share no disk."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        # Where a task runs.
        self.folder_of = lambda task: (folder / "{}{}".format(*task)) if own_folders else folder
        self.checkpoints = self.folder_of(("worker", 0)) / "ck"
        ports = iter(free_ports(servers + workers))
        self.ps_hosts = ps_hosts or [f"127.0.0.1:{next(ports)}" for _ in range(servers)]
        self.worker_hosts = worker_hosts or [f"127.0.0.1:{next(ports)}" for _ in range(workers)]
        self.tasks = [("ps", i) for i in range(servers)] + [("worker", i) for i in range(workers)]
        self.common = {"threads": 1, "worker_timeout": 2} | (common or {})
        checkpoints = "ck" if own_folders else self.checkpoints
        self.flags = {"checkpoint_path": checkpoints, "model_path": "none",
                      "output_path": "none", "steps_to_validate": 0} | flags
        self.processes = {}
        self.wrap = lambda task: []  # words before the command line of a task

    def command(self, task, **changes):
        """`changes` None: without that flag."""
        role, index = task
        flags = {"ps_hosts": self.ps_hosts, "worker_hosts": self.worker_hosts, "job_name": role,
                 "task_index": index} | self.common | (self.flags if role != "ps" else {}) | changes
        flags = {name: value for name, value in flags.items() if value is not None}
        return self.wrap(task) + program.arguments("train", [], flags)

    def start(self, *tasks, env=None, **changes):
        """All by default."""
        for task in tasks or self.tasks:
            self.folder_of(task).mkdir(exist_ok=True)
            with open(self.log_path(task), "a") as log:
                self.processes[task] = subprocess.Popen(
                    self.command(task, **changes), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    cwd=self.folder_of(task), env=os.environ | (env or {}),
                    preexec_fn=die_with_parent)
        return self

    def log_path(self, task):
        return self.folder / f"{task[0]}{task[1]}.log"

    def log(self, task):
        return self.log_path(task).read_text()

    def logs(self):
        """Of a message: the end of every task's log, and how it ended."""
        return "\n".join(f"--- {task}, exit code {process.poll()}:\n{self.log(task)[-1500:]}"
                         for task, process in self.processes.items())

    def exit_code(self, task, seconds=DEADLINE_S):
        """Waits for the end of a task."""
        until(lambda: self.has_ended(task), lambda: f"the end of {task}\n{self.logs()}", seconds)
        return self.processes[task].returncode

    def wait(self, seconds=DEADLINE_S):
        """Until all tasks have ended by themselves, each with 0."""
        deadline = time.monotonic() + seconds
        for task in self.processes:
            left = max(deadline - time.monotonic(), 0)
            assert self.exit_code(task, left) == 0, self.logs()
        return self

    def wait_for_log(self, task, text, seconds=DEADLINE_S):
        """A regular expression in the log of a task that may have to be waited for."""
        pattern = re.compile(text)
        until(lambda: pattern.search(self.log(task)) or self.has_ended(task),
              lambda: f"'{text}' in the log of {task}\n{self.logs()}", seconds)
        assert pattern.search(self.log(task)), f"no '{text}' in\n{self.logs()}"

    def has_ended(self, task):
        return self.processes[task].poll() is not None

    def wait_for_checkpoint(self, seconds=DEADLINE_S):
        until((self.checkpoints / "checkpoint").exists, lambda: f"a checkpoint\n{self.logs()}",
              seconds)

    def signal(self, task, number):
        self.processes[task].send_signal(number)

    def kill(self, task):
        self.processes[task].kill()
        self.processes[task].wait()

    def close(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
        for process in self.processes.values():
            process.wait()

    def digest(self):
        return program.digest(self.checkpoints)

    def counts(self):
        """(trained, of, twice, skipped) as the chief says at the end."""
        found = COUNTS.findall(self.log(self.chief))
        assert found, self.logs()
        return tuple(int(number.replace(",", "")) for number in found[-1])

    @property
    def chief(self):
        return ("chief", 0) if ("chief", 0) in self.processes else ("worker", 0)

    def steps(self):
        return int(str(program.newest_checkpoint(self.checkpoints)).rsplit("-", 1)[1])


def write_model(folder, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.yaml"
    path.write_text(json.dumps(MODEL | changes))
    return path
