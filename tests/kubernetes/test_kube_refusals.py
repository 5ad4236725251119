"""What cannot run is said in a sentence, and early."""

import base64
import json

import pytest

from kube import until


def idle(job, **keys):
    return job.write(["capstan", "train", "--model_file=/data/model.yaml", "--checkpoint_path=/data/checkpoint"], **keys)


def test_wrong_image(job):
    idle(job, image="docker.io/library/nothing-like-this:1").submit()
    job.wait_for("image docker.io/library/nothing-like-this:1 is not on the node, and may not be pulled")


def test_image_that_cannot_be_pulled(job):
    idle(job, image="registry.invalid/capstan:1", image_pull_policy="Always").submit()
    job.wait_for("image registry.invalid/capstan:1 cannot be pulled")


def test_too_much_memory(job):
    idle(job, memory="900Gi").submit()
    assert "Insufficient memory" in job.wait_for("waits for a node")


def test_out_of_memory(job):
    job.write(["/bin/busybox", "sh", "-c", "exec tail /dev/zero"], memory="20Mi", ps={"replicas": 0},
              worker={"replicas": 1}, retries={"limit": 0, "codes": {"137": "fail"}}, unsupervised=True)
    job.submit()
    job.wait_for(f"{job.name} failed")
    assert "out of memory: its limit is 20Mi" in job.status().split("\n")[0]


def test_a_program_that_fails(job):
    job.write(["/bin/busybox", "sh", "-c", "exit 5"], ps={"replicas": 0}, worker={"replicas": 1}, unsupervised=True)
    job.submit()
    job.wait_for(f"{job.name} failed")
    assert "exited with code 5" in job.status().split("\n")[0]


def test_name_too_long(job):
    job.name = "a" * 60
    refused = idle(job).submit(exit_code=None)
    assert refused.returncode != 0
    assert "63" in refused.stderr or "longest" in refused.stderr
    assert not job.objects("jobs")


def test_a_quota(job):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": {"pods": "0"}}}
    job.kube.kubectl("apply", "-f", "-", stdin=json.dumps(quota))
    try:
        idle(job).submit()
        job.wait_for("exceeded quota: few")
    finally:
        job.kube.kubectl("delete", "resourcequota", "few")


@pytest.fixture
def clerk(kube, tmp_path):
    """A user who may do little: path of a kubeconfig."""
    kube.kubectl("create", "serviceaccount", "clerk")
    kube.kubectl("create", "role", "clerk", "--verb=get,list,watch", "--resource=jobs,pods,services,secrets")
    kube.kubectl("create", "rolebinding", "clerk", "--role=clerk", "--serviceaccount=default:clerk")
    token = kube.kubectl("create", "token", "clerk").strip()
    authority = base64.b64encode((kube.folder / "pki/ca.crt").read_bytes()).decode()
    path = tmp_path / "clerk.kubeconfig"
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443",
                                               "certificate-authority-data": authority}}],
        "users": [{"name": "clerk", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "clerk"}}]}))
    yield path
    for kind in ("rolebinding", "role", "serviceaccount"):
        kube.kubectl("delete", kind, "clerk")


def test_missing_rights(job, clerk):
    idle(job)
    refused = job.submit(exit_code=1, kubeconfig=clerk).stderr
    assert "create/patch/delete jobs" in refused
    rules = [line for line in refused.splitlines() if line.startswith("- {apiGroups")]
    assert "- {apiGroups: [batch], resources: [jobs], verbs: [create, patch, delete]}" in rules
    assert not job.objects("jobs")
    # The rules that were printed are what is missing.
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "more"}, "rules": []}
    for line in rules:
        names = [part.split("]")[0].strip('"').split(", ") for part in line.split("[")[1:]]
        role["rules"].append({"apiGroups": names[0], "resources": names[1], "verbs": names[2]})
    job.kube.kubectl("apply", "-f", "-", stdin=json.dumps(role))
    job.kube.kubectl("create", "rolebinding", "more", "--role=more", "--serviceaccount=default:clerk")
    try:
        job.submit(kubeconfig=clerk)
        until(lambda: job.objects("jobs"), "the job")
    finally:
        job.kube.kubectl("delete", "rolebinding", "more")
        job.kube.kubectl("delete", "role", "more")


def test_no_cluster(job):
    idle(job)
    refused = job.kube.capstan("submit", job.file, exit_code=1, kubeconfig=job.folder / "nothing").stderr
    assert "nothing" in refused
