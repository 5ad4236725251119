"""A real Kubernetes of one node for the stories, and the commands that go to it."""

import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import program
import waiting

SCRIPTS = program.ROOT / "scripts"
CACHE = pathlib.Path(os.environ.get("CAPSTAN_CACHE", pathlib.Path.home() / ".cache/capstan"))
BIN = CACHE / "cluster/bin"
PROGRAMS = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl",
            "containerd", "containerd-shim-runc-v2", "ctr", "etcd", "coredns"]
CLI = str(program.CAPSTAN)
IMAGE = "docker.io/library/capstan:latest"
DEADLINE_S = 120
COUNTS = re.compile(r"examples: ([\d,]+) of ([\d,]+), ([\d,]+) twice, ([\d,]+) skipped")
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def missing_programs():
    return [name for name in PROGRAMS if not (BIN / name).exists()]


def why_not():
    """Why no cluster can run here, or None."""
    if os.geteuid() != 0:
        return "a cluster of our own needs root"
    lacking = [name for name in ["runc", "conntrack", "nsenter", "ip", "iptables"] if not shutil.which(name)]
    if lacking or not pathlib.Path("/usr/lib/cni/bridge").exists():
        return f"{', '.join(lacking) or 'the CNI plugins'} missing: scripts/setup.sh --tests"
    if missing_programs() and os.environ.get("CI") != "true":
        return "Kubernetes is not built: scripts/cluster/build.sh kubernetes (8 minutes, once)"
    return None


def until(condition, what, seconds=DEADLINE_S):
    return waiting.until(condition, what, seconds, poll_s=0.2)  # each look is a call of kubectl


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Kube:
    """Boots when it is made; close() ends all of it."""

    def __init__(self):
        # Short: containerd's socket lies in it.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="capstan-kube-", dir="/tmp"))
        self.namespace = self.folder.name[-12:]
        self.environment = os.environ | {"KUBE_DIR": str(self.folder), "KUBE_NS": self.namespace,
                                         "KUBECONFIG": str(self.folder / "admin.kubeconfig"),
                                         "PATH": f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin"}
        done = subprocess.run([SCRIPTS / "cluster/kube_up.sh"], env=self.environment, text=True,
                              capture_output=True, timeout=300)
        if done.returncode != 0:
            self.close()
            raise RuntimeError(f"kube_up.sh: {done.stdout}{done.stderr}")

    def close(self):
        subprocess.run([SCRIPTS / "cluster/kube_down.sh"], env=self.environment, timeout=120,
                       capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _line(self, words):
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *map(str, words)]

    def run(self, *words, exit_code=0, stdin=None, timeout=DEADLINE_S):
        """A command inside the cluster's network; `exit_code` None takes any."""
        done = subprocess.run(self._line(words), env=self.environment, text=True, input=stdin,
                              capture_output=True, timeout=timeout)
        if exit_code is not None:
            assert done.returncode == exit_code, f"{words}\n{done.stdout}{done.stderr}"
        return done

    def start(self, *words, **arguments):
        return subprocess.Popen(self._line(words), env=self.environment, text=True,
                                preexec_fn=die_with_parent, **arguments)

    def kubectl(self, *words, **arguments):
        return self.run("kubectl", *words, **arguments).stdout

    def get(self, *words):
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def load_image(self, archive):
        self.run("ctr", "-a", self.folder / "run/containerd.sock", "-n", "k8s.io", "images", "import", archive)

    def capstan(self, verb, *words, exit_code=0, timeout=DEADLINE_S, **flags):
        line = [CLI, verb, "--engine=kubernetes", *[f"--{name}={value}" for name, value in flags.items()], *words]
        return self.run(*line, exit_code=exit_code, timeout=timeout)


class Job:
    """One job of a story. Its folder is /data in the pods."""

    def __init__(self, kube, name, folder):
        self.kube, self.name, self.folder = kube, name, folder
        self.file = folder / "job.yaml"

    def write(self, command, **keys):
        file = {"name": self.name, "image": IMAGE, "image_pull_policy": "Never", "command": command,
                "cpu": "50m", "memory": "200Mi", "start_timeout": "60s",
                "volumes": [{"mount": "/data", "host_path": str(self.folder)}],
                "ps": {"replicas": 2}, "worker": {"replicas": 2}} | keys
        for role in ("ps", "worker"):
            # A process 1 that was asked to end before it could listen never hears it.
            file[role].setdefault("stop_timeout", "10s")
        self.file.write_text(json.dumps(file))
        return self

    def submit(self, exit_code=0, **flags):
        return self.kube.capstan("submit", self.file, exit_code=exit_code, **flags)

    def status(self):
        return self.kube.capstan("status", self.name).stdout

    def logs(self, *words):
        return self.kube.capstan("logs", self.name, *words).stdout

    def objects(self, kind):
        return self.kube.get(kind, "-l", f"capstan/job={self.name}")["items"]

    def pods(self, role=None, phase=None):
        found = self.objects("pods")
        if role:
            found = [pod for pod in found if pod["metadata"]["labels"]["capstan/role"] == role]
        return [pod for pod in found if phase in (None, pod["status"]["phase"])]

    def condition(self, job_name, kind):
        """The condition of a Kubernetes Job, or None."""
        for condition in self.kube.get("job", job_name)["status"].get("conditions", []):
            if condition["type"] == kind and condition["status"] == "True":
                return condition
        return None

    def wait_for(self, words, seconds=DEADLINE_S):
        """Until the status says these words."""
        return until(lambda: self.status() if words in self.status() else None,
                     lambda: f"{words}\n{self.status()}", seconds)

    def wait_for_success(self, seconds=DEADLINE_S):
        def ended():
            words = self.status().split("\n")[0]
            assert f"{self.name} failed" not in words, f"{self.status()}\n{self.logs()}"
            return f"{self.name} succeeded" in words
        until(ended, lambda: f"the end\n{self.status()}\n{self.logs()}", seconds)

    def wait_for_checkpoint(self):
        until((self.folder / "checkpoint/checkpoint").exists, lambda: f"a checkpoint\n{self.status()}{self.logs()}")

    def counts(self):
        """(trained, of, twice, skipped) as the chief says at the end."""
        found = COUNTS.findall(self.logs())
        assert found, self.logs()
        return tuple(int(number.replace(",", "")) for number in found[-1])

    def delete(self):
        self.kube.capstan("delete", self.name, exit_code=None)
