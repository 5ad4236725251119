"""`capstan run` on this machine, from a job file that a test writes; nothing of it outlives the test."""

import json
import os
import pathlib
import pty
import re
import signal
import subprocess

import program
import waiting

DEADLINE_S = 90


def until(condition, what, seconds=DEADLINE_S):
    return waiting.until(condition, what, seconds)


def marked(mark):
    """Numbers of the living processes whose environment holds `mark`."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark.encode() in (folder / "environ").read_bytes():
                if "\nState:\tZ" not in (folder / "status").read_text():
                    found.append(int(folder.name))
        except OSError:
            pass
    return found


class LocalRun:
    def __init__(self, folder, job, *flags, env=None, name="job.yaml", terminal=False):
        """`job`: the job file as a dict or text, or the path of one that is there."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.runtime = folder / "runtime"
        self.runtime.mkdir(exist_ok=True)
        path = job if isinstance(job, pathlib.Path) else folder / name
        if path is not job:
            path.write_text(job if isinstance(job, str) else json.dumps(job))
        self.mark = f"CAPSTAN_TEST_MARK={folder}"
        self.env = os.environ | {"XDG_RUNTIME_DIR": str(self.runtime),
                                 "CAPSTAN_TEST_MARK": str(folder)} | (env or {})
        self.out, self.err = folder / "out.txt", folder / "err.txt"
        command = [str(program.CAPSTAN), "run", *flags, str(path)]
        self.master = None
        with open(self.out, "w") as out, open(self.err, "w") as err:
            stdout = out
            if terminal:
                self.master, stdout = pty.openpty()
            # A group of its own: a signal for capstan alone.
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout,
                                            stderr=err, cwd=folder, env=self.env,
                                            start_new_session=True)
        if terminal:
            os.close(stdout)

    def text(self):
        return self.out.read_text() + self.err.read_text()

    def wait_for(self, pattern, seconds=DEADLINE_S):
        """A regular expression in what was written."""
        until(lambda: re.search(pattern, self.text()) or self.process.poll() is not None,
              lambda: f"'{pattern}' in\n{self.text()}", seconds)
        found = re.search(pattern, self.text())
        assert found, f"no '{pattern}' in\n{self.text()}"
        return found

    def wait(self, exit_code=0, seconds=DEADLINE_S):
        until(lambda: self.process.poll() is not None, lambda: f"the end\n{self.text()}", seconds)
        assert self.process.returncode == exit_code, self.text()
        return self.text()

    def verb(self, *words, exit_code=0):
        """Another terminal: `capstan WORDS --engine=local`."""
        done = subprocess.run([str(program.CAPSTAN), *words, "--engine=local"], text=True,
                              env=self.env, capture_output=True, timeout=DEADLINE_S)
        assert done.returncode == exit_code, f"{words}\n{done.stdout}{done.stderr}\n{self.text()}"
        return done.stdout + done.stderr

    def status(self, job):
        return json.loads(self.verb("status", job, "--json"))

    def task(self, job, name):
        return next(t for t in self.status(job)["tasks"] if t["name"] == f"{job}-{name}")

    def living(self):
        return marked(self.mark)

    def pid_of(self, word):
        """Of the program of a task whose command line or environment has `word`, not its guard."""
        for pid in self.living():
            try:
                environ = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
                name = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:
                continue
            if word.encode() in environ and name != "capstan-guard":
                return pid
        raise AssertionError(f"no process with {word}\n{self.text()}")

    def signal(self, number):
        self.process.send_signal(number)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.master is not None:
            os.close(self.master)
        # Whatever a failed test left.
        for pid in self.living():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
