"""The program under test: CAPSTAN_BUILD names the build folder, default build/ of the repository."""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("CAPSTAN_BUILD", ROOT / "build"))
CAPSTAN = BUILD / "capstan"
TIME_LIMIT_S = 120


def arguments(command, words, flags):
    """Flags as the program has them; True and False in lower case, lists with commas."""
    line = [str(CAPSTAN), command]
    for name, value in flags.items():
        if isinstance(value, bool):
            value = str(value).lower()
        elif isinstance(value, (list, tuple)):
            value = ",".join(map(str, value))
        line.append(f"--{name}={value}")
    return line + [str(word) for word in words]


def run(command, *words, exit_code=0, cwd=None, **flags):
    """capstan COMMAND --flags… WORDS…; `exit_code` None takes any."""
    done = subprocess.run(arguments(command, words, flags), cwd=cwd, text=True,
                          capture_output=True, timeout=TIME_LIMIT_S)
    if exit_code is not None:
        assert done.returncode == exit_code, f"{done.args}\n{done.stdout}{done.stderr}"
    return done


def train(folder=None, **flags):
    """A training run with everything it writes in `folder` (None: it writes nothing), 2 threads."""
    outputs = {"checkpoint_path": "ck", "output_path": "events", "model_path": "export"}
    for name, place in outputs.items():
        flags.setdefault(name, "none" if folder is None else pathlib.Path(folder) / place)
    exit_code = flags.pop("exit_code", 0)
    flags.setdefault("threads", 2)
    return run("train", exit_code=exit_code, cwd=folder, **flags)


def start(command, *words, cwd=None, **flags):
    """The same in the background: a Popen with stderr as a pipe."""
    return subprocess.Popen(arguments(command, words, flags), cwd=cwd, text=True,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def digest(path):
    return run("inspect", path, digest=True).stdout.strip()


def inspect(path, **flags):
    return json.loads(run("inspect", path, json=True, **flags).stdout)


def evaluate(**flags):
    return json.loads(run("evaluate", json=True, **flags).stdout)


def newest_checkpoint(folder):
    """Prefix of the newest checkpoint in a folder, by TensorFlow's state file."""
    state = (pathlib.Path(folder) / "checkpoint").read_text()
    name = state.split('model_checkpoint_path: "', 1)[1].split('"', 1)[0]
    return pathlib.Path(folder) / name
