"""A cluster of capstan tasks on loopback, watched from outside: by bench/parameter_servers.py and scaling_model.py."""
import dataclasses
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

SAMPLE_S = 0.1
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@dataclasses.dataclass
class Sample:
    seconds: float
    steps: int  # applied by server 0: a worker's batch (async) or a step of all (sync)
    server_bytes: list  # of each server, both ways
    server_cpu_s: list
    worker_cpu_s: list


@dataclasses.dataclass
class ClusterRun:
    examples_per_s: float  # the chief's last line: with the end, the checkpoint and the count
    staleness: float
    first: Sample  # a part of the run in which it was in full swing …
    last: Sample
    batch_size: int

    def examples(self):
        return (self.last.steps - self.first.steps) * self.batch_size

    def steady_examples_per_s(self):
        return self.examples() / (self.last.seconds - self.first.seconds)

    def bytes_per_example(self):
        return sum(self.last.server_bytes + [-b for b in self.first.server_bytes]) / self.examples()

    def largest_share(self):
        """Of the servers' bytes that one server has."""
        each = [b - a for a, b in zip(self.first.server_bytes, self.last.server_bytes)]
        return max(each) / sum(each)

    def cpu_us_per_example(self, role):
        before, after = getattr(self.first, f"{role}_cpu_s"), getattr(self.last, f"{role}_cpu_s")
        return 1e6 * (sum(after) - sum(before)) / self.examples()


def metrics_of(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return {name: float(value) for name, value in re.findall(r"^(capstan_\w+)\S* (\S+)$", text, re.M)}


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def sample(servers, workers, metric_ports):
    metrics = [metrics_of(port) for port in metric_ports]
    return Sample(time.monotonic(), int(metrics[0]["capstan_applied_step"]),
                  [m["capstan_received_bytes_total"] + m["capstan_sent_bytes_total"] for m in metrics],
                  [cpu_seconds(task.pid) for task in servers], [cpu_seconds(task.pid) for task in workers])


def watch(servers, workers, metric_ports, time_limit_s):
    """Samples until the first task ends."""
    samples, start = [], time.monotonic()
    while all(task.poll() is None for task in servers + workers):
        try:
            samples.append(sample(servers, workers, metric_ports))
        except (OSError, KeyError):  # not up yet, or gone by now
            pass
        if time.monotonic() - start > time_limit_s:
            break
        time.sleep(SAMPLE_S)
    return samples


def steady_part(samples):
    """From a third of the steps, when most rows are there, to before the last ones."""
    most = samples[-1].steps
    part = [s for s in samples if 0.33 * most <= s.steps <= 0.95 * most]
    if len(part) < 2:
        sys.exit(f"a run of {most} steps is too short to measure: give more --rows")
    return part[0], part[-1]


def run_cluster(capstan, model_file, train_files, servers, workers, batch_size, flags=(), time_limit_s=600, threads=1):
    """Trains one epoch; every task has `threads` threads. Ends this program when a task fails."""
    ports = free_ports(2 * servers + workers)
    addresses = [f"127.0.0.1:{port}" for port in ports]
    metric_ports = ports[servers + workers:]
    hosts = [f"--ps_hosts={','.join(addresses[:servers])}",
             f"--worker_hosts={','.join(addresses[servers:servers + workers])}"]
    with tempfile.TemporaryDirectory() as folder:
        tasks, logs = [], []

        def start(role, index, *more):
            logs.append(pathlib.Path(folder) / f"{role}{index}.log")
            with open(logs[-1], "w") as log:
                tasks.append(subprocess.Popen([capstan, "train", *hosts, f"--job_name={role}", f"--task_index={index}",
                                               f"--threads={threads}", *more], stdout=log, stderr=log))

        for index in range(servers):
            start("ps", index, f"--metrics_port={metric_ports[index]}")
        for index in range(workers):
            start("worker", index, f"--model_file={model_file}", f"--train_files={train_files}",
                  f"--train_batch_size={batch_size}", f"--checkpoint_path={folder}/checkpoint", "--model_path=none",
                  "--output_path=none", "--steps_to_validate=0", "--checkpoint_secs=0", *flags)
        try:
            samples = watch(tasks[:servers], tasks[servers:], metric_ports, time_limit_s)
            codes = [task.wait(timeout=60) for task in tasks]
        finally:
            for task in tasks:
                if task.poll() is None:
                    task.kill()
                    task.wait()
        texts = [log.read_text() for log in logs]
    if any(codes):
        sys.exit(f"exit codes {codes}\n" + "\n".join(texts))
    chief = texts[servers]
    staleness = re.findall(r"staleness ([\d.]+)", chief)
    return ClusterRun(float(re.search(r"Done training:.* (\d+) examples/s", chief).group(1)),
                      float(staleness[-1]) if staleness else 0.0, *steady_part(samples), batch_size)
