"""A submit that is cut, a crowded cluster, other people's manifests."""

import contextlib
import json
import pathlib
import subprocess
import sys

import pytest

import program
from click_training import EXAMPLES
from kube import CLI, IMAGE, until

RELAY = pathlib.Path(__file__).with_name("relay.py")


@contextlib.contextmanager
def relay(kube, folder, writes):
    """(its process, a kubeconfig that goes through it)"""
    process = kube.start(sys.executable, RELAY, kube.folder, writes, stdout=subprocess.PIPE)
    try:
        port = process.stdout.readline().strip()
        path = folder / f"relay{writes}.kubeconfig"
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "r",
            "clusters": [{"name": "r", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "contexts": [{"name": "r", "context": {"cluster": "r"}}]}))
        yield process, path
    finally:
        process.kill()
        process.wait()


def owned(job):
    """(kind, name) of everything that the job has, its pods aside."""
    return {(item["kind"], item["metadata"]["name"]) for kind in ("jobs", "services", "secrets")
            for item in job.objects(kind)}


def test_killed_at_every_step(job, clicks):
    clicks.write(job, epochs=1)
    everything = {("Job", f"{job.name}-worker"), ("Job", f"{job.name}-ps"), ("Service", job.name),
                  ("Secret", f"{job.name}-token")}
    steps = len(everything) + 1  # the last lets the anchor go
    for step in range(1, steps + 1):
        with relay(job.kube, job.folder, step) as (process, kubeconfig):
            submit = job.kube.start(CLI, "submit", "--engine=kubernetes", f"--kubeconfig={kubeconfig}", job.file,
                                    stderr=subprocess.PIPE)
            assert process.stdout.readline() == "written\n", submit.communicate()
            submit.kill()
            submit.wait()
        if step in (1, 3):
            # Nothing leaks: all belongs to the anchor, and goes with it.
            anchor = job.kube.get("job", f"{job.name}-worker")["metadata"]
            for kind in ("jobs", "services", "secrets"):
                for item in job.objects(kind):
                    owners = [owner["uid"] for owner in item["metadata"].get("ownerReferences", [])]
                    assert item["metadata"]["uid"] == anchor["uid"] or owners == [anchor["uid"]]
            assert "submit" in job.status()
            job.kube.kubectl("delete", "job", f"{job.name}-worker")
            until(lambda: not owned(job), lambda: f"left behind: {owned(job)}")
        else:
            # A second submit finishes it.
            job.submit()
            assert owned(job) == everything
            assert not job.kube.get("job", f"{job.name}-worker")["spec"]["suspend"]
            if step < steps:
                job.delete()
                until(lambda: not owned(job), lambda: f"left behind: {owned(job)}")
    job.wait_for_success()
    assert job.counts() == (EXAMPLES, EXAMPLES, 0, 0)


def test_somebody_elses_service(job, clicks):
    clicks.write(job)
    job.kube.kubectl("create", "service", "clusterip", job.name, "--tcp=80")
    try:
        refused = job.submit(exit_code=1).stderr
        assert f"there is a Service {job.name}" in refused and "not of this job" in refused
        assert not job.objects("jobs")
    finally:
        job.kube.kubectl("delete", "service", job.name)


DEVICES = 3


@pytest.fixture
def devices(kube):
    """Three devices on the node that nobody has: they only count."""
    patch = [{"op": "add", "path": "/status/capacity/example.com~1device", "value": str(DEVICES)}]
    kube.kubectl("patch", "node", "node0", "--subresource=status", "--type=json", "-p", json.dumps(patch))
    until(lambda: "example.com/device" in kube.get("node", "node0")["status"]["allocatable"], "devices")
    yield
    patch[0] = {"op": "remove", "path": "/status/capacity/example.com~1device"}
    kube.kubectl("patch", "node", "node0", "--subresource=status", "--type=json", "-p", json.dumps(patch))


def test_too_few_devices_are_let_go(job, clicks, devices):
    """Two of the three devices are somebody else's. The job gets one, and waits for the other with it in hand; when its
    start_timeout is over it lets go, and says what was missing."""
    holder = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "holder"}, "spec": {"containers": [{
        "name": "c", "image": "docker.io/library/capstan:latest", "imagePullPolicy": "Never",
        "command": ["/bin/busybox", "sleep", "1000"], "resources": {"limits": {"example.com/device": "2"}}}]}}
    job.kube.kubectl("apply", "-f", "-", stdin=json.dumps(holder))
    try:
        until(lambda: job.kube.get("pod", "holder")["status"]["phase"] == "Running", "the holder")
        clicks.write(job, flags={"start_timeout": 15}, start_timeout="15s",
                     ps={"replicas": 2, "gpus": 1, "gpu_resource": "example.com/device"})
        said = job.submit().stderr
        assert "the job wants 2 example.com/device, 1 are free" in said
        waiting = job.wait_for("Insufficient example.com/device").split("\n")[0]
        assert "3 of 4 tasks hold a place, 1 wait" in waiting
        until(lambda: job.condition(f"{job.name}-worker", "Failed") and job.condition(f"{job.name}-ps", "Failed"),
              job.status)
        assert not job.pods(phase="Running")
        assert f"{job.name} failed" in job.status()
    finally:
        job.kube.kubectl("delete", "pod", "holder", "--force", "--grace-period=0")


def test_one_job_for_all_tasks(job, clicks):
    """Layout L1."""
    if not (program.BUILD / "capstan-task").exists():
        pytest.skip("capstan-task is not built: it tells the tasks of one Job apart")
    clicks.write(job, epochs=1)
    job.submit(layout="L1")
    job.wait_for_success()
    assert job.counts() == (EXAMPLES, EXAMPLES, 0, 0)
    assert len(job.objects("jobs")) == 1


def write_tfjob(job, command, workers, servers=0, **spec):
    """A manifest of kubeflow.org/v1; its image is ours under its name."""
    image = "docker.io/kubeflow/tf-dist-mnist-test:1.0"
    job.kube.run("ctr", "-a", job.kube.folder / "run/containerd.sock", "-n", "k8s.io", "images", "tag", "--force",
                 IMAGE, image)
    template = {"spec": {
        "terminationGracePeriodSeconds": 10,
        "containers": [{"name": "tensorflow", "image": image, "imagePullPolicy": "Never", "command": command,
                        "ports": [{"name": "tfjob-port", "containerPort": 2222}],
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
        "volumes": [{"name": "data", "hostPath": {"path": str(job.folder)}}]}}
    roles = {role: {"replicas": replicas, "restartPolicy": "OnFailure", "template": template}
             for role, replicas in (("PS", servers), ("Worker", workers)) if replicas}
    job.file.write_text(json.dumps({"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "metadata": {"name": job.name},
                                    "spec": spec | {"tfReplicaSpecs": roles}}))


def test_a_tfjob_as_it_is(job, clicks):
    clicks.put_into(job.folder)
    write_tfjob(job, clicks.command(1), workers=2, servers=1, runPolicy={"cleanPodPolicy": "None"})
    job.submit()
    # Without dynamic workers each task knows the others by name.
    refused = job.kube.capstan("scale", "worker=3", job.name, exit_code=1).stderr
    assert "know 2 workers by name" in refused
    job.wait_for_success()
    assert job.counts() == (EXAMPLES, EXAMPLES, 0, 0)
    labels = job.pods("ps")[0]["metadata"]["labels"]
    assert labels["training.kubeflow.org/job-name"] == job.name


def test_dynamic_workers_are_scaled(job):
    write_tfjob(job, ["/bin/busybox", "sh", "-c", "trap 'exit 143' TERM; while true; do sleep 0.1; done"], workers=2,
                enableDynamicWorker=True)
    job.submit()
    for workers in (2, 4, 1):
        job.kube.capstan("scale", f"worker={workers}", job.name)
        until(lambda workers=workers: len(job.pods("worker")) == len(job.pods("worker", "Running")) == workers,
              job.status)
        assert job.status().count(f"{job.name}-worker-") >= workers
    refused = job.kube.capstan("scale", "worker=0", job.name, exit_code=1).stderr
    assert "wanted at least 1" in refused
