"""Two servers and two workers as pods train to the end, whatever happens to the pods."""

import json
import subprocess
import time

import pytest

from click_training import EXAMPLES
from kube import CLI, until


def test_to_the_end(job, clicks):
    clicks.write(job, epochs=2)
    begin = time.monotonic()
    job.submit()
    follower = job.kube.start(*follow(job), stdout=subprocess.PIPE)
    first_line = until(lambda: "Step:" in job.logs(), job.status)
    print(f"submit to first report: {time.monotonic() - begin:.1f} s, {first_line}")
    job.wait_for_success()
    assert job.counts() == (2 * EXAMPLES, 2 * EXAMPLES, 0, 0)
    # The submit's terminal has no part in this: pods have ended by themselves, and their logs stay.
    assert [pod["status"]["phase"] for pod in job.pods()] == ["Succeeded"] * 4
    for name in (f"{job.name}-ps", f"{job.name}-worker"):
        until(lambda name=name: job.condition(name, "Complete"), lambda name=name: f"{name} to be complete")
    logs = job.logs()
    for task in ("ps-0", "ps-1", "worker-0", "worker-1"):
        assert task in logs
    # Whoever follows gets the same lines, and the end.
    followed = follower.communicate(timeout=60)[0]
    assert sorted(followed.splitlines()) == sorted(logs.splitlines())
    status = job.status()
    assert f"{job.name}-worker-0.{job.name}.default.svc:2222" in status

    # The same again is nothing to do; something else under the name is a conflict with the difference.
    uid = job.kube.get("job", f"{job.name}-worker")["metadata"]["uid"]
    job.submit()
    assert job.kube.get("job", f"{job.name}-worker")["metadata"]["uid"] == uid
    clicks_command = json.loads(job.file.read_text())["command"]
    job.write(clicks_command, worker={"replicas": 3})
    refused = job.submit(exit_code=1).stderr
    assert "spec.completions is 2, the job file gives 3" in refused

    job.delete()
    for kind in ("jobs", "pods", "services", "secrets"):
        until(lambda kind=kind: not job.objects(kind), lambda kind=kind: f"no {kind}: {job.objects(kind)}")


def follow(job):
    return [CLI, "logs", "--engine=kubernetes", "-f", job.name]


@pytest.mark.parametrize("role", ["worker", "ps"])
def test_a_pod_is_deleted(job, clicks, role):
    clicks.write(job, epochs=6)
    job.submit()
    job.wait_for_checkpoint()
    victim = job.pods(role, "Running")[-1]["metadata"]["name"]
    job.kube.kubectl("delete", "pod", victim, "--wait=false")
    job.wait_for_success()
    assert job.counts() == (6 * EXAMPLES, 6 * EXAMPLES, 0, 0)
    assert victim not in [pod["metadata"]["name"] for pod in job.pods()]


def test_drain_and_uncordon(job, clicks):
    clicks.write(job, epochs=6)
    job.submit()
    job.wait_for_checkpoint()
    job.kube.kubectl("drain", "node0", "--force", "--delete-emptydir-data", "--timeout=60s")
    try:
        assert "unschedulable" in job.wait_for("waits for a node")
    finally:
        job.kube.kubectl("uncordon", "node0")
    job.wait_for_success()
    assert job.counts() == (6 * EXAMPLES, 6 * EXAMPLES, 0, 0)
    # A drain is free: no retry was charged.
    assert not job.kube.get("job", f"{job.name}-worker")["status"].get("failedIndexes")


def test_suspend_and_resume(job, clicks):
    clicks.write(job, epochs=6)
    job.submit()
    job.wait_for_checkpoint()
    job.kube.capstan("suspend", job.name)
    until(lambda: not job.pods(), job.status)
    assert "suspended" in job.status()
    # A second submit does not wake it.
    job.submit()
    assert job.kube.get("job", f"{job.name}-worker")["spec"]["suspend"]
    job.kube.capstan("resume", job.name)
    job.wait_for_success()
    assert job.counts() == (6 * EXAMPLES, 6 * EXAMPLES, 0, 0)
