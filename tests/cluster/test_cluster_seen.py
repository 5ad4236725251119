"""What an operator sees of a cluster: lines, metrics, health."""

import os
import pathlib
import re
import subprocess
import sys
import urllib.error

import pytest

import cluster as clusters
import status
from status import metric, metrics

SERVER, OTHER_SERVER = ("ps", 0), ("ps", 1)
CHIEF, WORKER, EVALUATOR = ("worker", 0), ("worker", 1), ("evaluator", 0)
ENDLESS = {"epoch_number": 1_000_000}
PAGE = pathlib.Path(__file__).parents[2] / "docs/metrics.md"


def test_metrics_of_every_task(story, cluster):
    """Those that docs/metrics.md lists, of the kind that it says, and no others."""
    tasks = [SERVER, OTHER_SERVER, CHIEF, WORKER, EVALUATOR]
    ports = dict(zip(tasks, clusters.free_ports(5)))
    job = cluster(**story.flags | ENDLESS | {"steps_to_validate": 20, "checkpoint_secs": 0.5,
                                             "validation_files": story.validation})
    for task, port in ports.items():
        job.start(task, metrics_port=port)

    for task in job.tasks:
        for name in ["pulls_total", "pushes_total", "sent_bytes_total", "received_bytes_total",
                     "pull_seconds_count", "push_seconds_count", 'pull_seconds_bucket{le="+Inf"}',
                     "memory_used_bytes"]:
            clusters.until(lambda: metric(ports[task], "capstan_" + name) > 0,
                           lambda: f"{name} of {task}\n{job.logs()}")
    for task, names in {
            SERVER: ["applied_step", "parameter_bytes", 'table_rows{table="C1"}',
                     'table_bytes{table="C1"}', "checkpoint_parts_total"],
            WORKER: ["examples_total", "steps_total", "compute_seconds_total"],
            CHIEF: ["global_step", "examples_per_second", 'workers{state="present"}',
                    'leases{state="granted"}', "checkpoints_total", "validation_auc"],
            EVALUATOR: ["validation_auc", "validation_step"]}.items():
        for name in names:
            clusters.until(lambda: metric(ports[task], "capstan_" + name) > 0,
                           lambda: f"{name} of {task}\n{job.logs()}")
    assert metric(ports[CHIEF], 'capstan_workers{state="present"}') == 2

    listed = dict(re.findall(r"^\| `(capstan_\w+)`[^|]*\| (\w+) \|", PAGE.read_text(), re.MULTILINE))
    shown = {name: kind for port in ports.values() for name, kind in status.kinds(port).items()}
    assert shown.items() <= listed.items()
    assert set(listed) - set(shown) == {"capstan_validation_rmse"}  # of regression
    with pytest.raises(urllib.error.HTTPError, match="404"):
        status.fetch(ports[SERVER], "/other")


def test_metrics_of_a_lost_server(story, cluster):
    port = clusters.free_ports(1)[0]
    job = cluster(sync=True, checkpoint_secs=0.5, **story.flags | ENDLESS)
    job.start(SERVER, OTHER_SERVER, WORKER).start(CHIEF, metrics_port=port)
    clusters.until(lambda: metric(port, "capstan_checkpoints_total") > 0, job.logs)
    assert metric(port, "capstan_rollbacks_total") == 0
    job.kill(SERVER)
    clusters.until(lambda: f"for ps 0 ({job.ps_hosts[0]})" in status.health(port), job.logs)
    job.start(SERVER)
    clusters.until(lambda: metric(port, "capstan_rollbacks_total") == 1, job.logs)
    clusters.until(lambda: status.health(port) == "ok\n", job.logs)


def test_health_says_who_is_waited_for(story, cluster):
    ports = dict(zip([SERVER, CHIEF, WORKER, EVALUATOR], clusters.free_ports(4)))
    job = cluster(**story.flags | ENDLESS)
    chief_address = job.worker_hosts[0]

    def says(task, text):
        clusters.until(lambda: text in status.health(ports[task]),
                       lambda: f"'{text}' of {task}: {status.health(ports[task])}\n{job.logs()}")
    for task in [SERVER, WORKER]:
        job.start(task, metrics_port=ports[task])
    job.start(EVALUATOR, metrics_port=ports[EVALUATOR], validation_files=story.validation)
    says(SERVER, f"ok: waiting for the chief ({chief_address})")
    says(WORKER, f"s for worker 0 ({chief_address})")
    says(EVALUATOR, "ok: waiting for checkpoints in ")
    job.start(CHIEF, metrics_port=ports[CHIEF])
    says(CHIEF, f"s for ps 1 ({job.ps_hosts[1]})")
    job.start(OTHER_SERVER)
    for task in [SERVER, CHIEF, WORKER]:
        clusters.until(lambda: status.health(ports[task]) == "ok\n", job.logs)
    job.kill(CHIEF)
    says(WORKER, f"ok: waiting for the chief ({chief_address})")


def test_a_server_says_what_fills_its_memory(story, cluster, tmp_path):
    """On a machine of 25 MB, as far as it can see."""
    if os.geteuid() != 0:
        pytest.skip("a mount namespace wants root")
    (tmp_path / "meminfo").write_text("MemTotal: 24576 kB\n")
    job = cluster(**story.flags | ENDLESS)
    small = f"mount --bind {tmp_path}/meminfo /proc/meminfo && exec \"$@\""
    job.wrap = lambda task: ["unshare", "-m", "sh", "-c", small, "sh"] if task == SERVER else []
    job.start()
    job.wait_for_log(SERVER, r"ps 0: memory: \d+ % of 25 MB \(\d+ MB\); table C\d+: \d+ MB, "
                             r"[\d,]+ rows; .*expiry_steps")


# grpc.health.v1.Health/Check, in a process of its own: gRPC's threads and forks do not mix.
HEALTH = """
import sys, grpc
with grpc.insecure_channel(sys.argv[1]) as channel:
    check = channel.unary_unary("/grpc.health.v1.Health/Check")
    print(check(b"", timeout=20, wait_for_ready=True).hex())
"""
SERVING = "0801"


def test_grpc_health_service(story, cluster):
    pytest.importorskip("grpc", reason="grpcio is not installed")
    job = cluster(**story.flags | ENDLESS).start()
    for address in job.ps_hosts + job.worker_hosts:
        done = subprocess.run([sys.executable, "-c", HEALTH, address], capture_output=True,
                              text=True, timeout=clusters.DEADLINE_S)
        assert done.stdout.strip() == SERVING, done.stderr + job.logs()


def test_lines_say_who_and_how(story, cluster):
    job = cluster(**story.flags | {"steps_to_validate": 20}).start().wait()
    for task in job.tasks:
        name = "{} {}".format(*task)
        assert all(f" {name}: " in line for line in job.log(task).splitlines()), job.logs()
    assert "examples/s" in job.log(CHIEF) and "staleness" in job.log(CHIEF)
