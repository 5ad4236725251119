"""The cluster of the stories: booted once, inside a network namespace of its own."""

import os
import subprocess
import sys

import pytest

import kube as kubernetes
import program
from click_training import EXAMPLES, ClickTraining

@pytest.fixture(scope="session")
def kube(tmp_path_factory):
    reason = kubernetes.why_not()
    if reason:
        pytest.skip(reason)
    if kubernetes.missing_programs():
        subprocess.run([kubernetes.SCRIPTS / "cluster/build.sh", "kubernetes"], check=True, stdout=subprocess.DEVNULL)
    archive = tmp_path_factory.mktemp("image") / "capstan.tar"
    subprocess.run([sys.executable, kubernetes.SCRIPTS / "image.py", f"--output={archive}", f"--tag={kubernetes.IMAGE}",
                    f"--build={program.BUILD}"], check=True)
    made = kubernetes.Kube()
    try:
        made.load_image(archive)
        archive.unlink()
        yield made
    finally:
        if os.environ.get("CAPSTAN_KEEP_CLUSTER"):
            print(f"the cluster stays: {made.folder}")
        else:
            made.close()


@pytest.fixture
def job(kube, tmp_path, request):
    """A job named after its test, in a folder that pods may write to; deleted at the end."""
    tmp_path.chmod(0o777)
    name = request.node.name.replace("test_", "").replace("_", "-").translate(str.maketrans("[", "-", "]"))
    made = kubernetes.Job(kube, name[:30].rstrip("-"), tmp_path)
    yield made
    made.delete()


@pytest.fixture(scope="session")
def clicks(synth):
    return ClickTraining(synth("clicks", EXAMPLES, files=3))
