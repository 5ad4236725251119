"""The container image that is made without a registry."""

import io
import json
import subprocess
import sys
import tarfile

import pytest

import program


def make(output, *words):
    done = subprocess.run([sys.executable, program.ROOT / "scripts/image.py", f"--output={output}",
                           f"--build={program.BUILD}", *words], text=True, capture_output=True)
    return done


def read(path):
    """(manifest, configuration, the layer as a TarFile)"""
    with tarfile.open(path) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))[0]
        config = json.load(archive.extractfile(manifest["Config"]))
        layer = archive.extractfile(manifest["Layers"][0]).read()
    return manifest, config, tarfile.open(fileobj=io.BytesIO(layer))


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "capstan.tar"
    assert make(path).returncode == 0
    return path


def test_small_without_root_and_in_exec_form(image):
    manifest, config, layer = read(image)
    assert manifest["RepoTags"] == ["docker.io/library/capstan:latest"]
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Entrypoint"] == ["/usr/bin/capstan"]
    assert sum(member.size for member in layer) <= 100e6
    assert {"usr/bin/capstan", "bin/sh", "etc/passwd", "tmp"} <= set(layer.getnames())


def test_it_runs_with_nothing_else_around_it(image, tmp_path):
    read(image)[2].extractall(tmp_path, filter="fully_trusted")
    try:
        done = subprocess.run(["chroot", tmp_path, "/usr/bin/capstan", "--version"], text=True, capture_output=True)
    except PermissionError:
        pytest.skip("chroot needs root")
    if "Operation not permitted" in done.stderr:
        pytest.skip("chroot needs root")
    assert done.returncode == 0 and done.stdout.startswith("capstan "), done.stderr


def test_the_same_bytes_again(image, tmp_path):
    make(tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == image.read_bytes()


def test_a_model_inside(tmp_path):
    folder = tmp_path / "clicks"
    folder.mkdir()
    assert "no saved_model.pb" in make(tmp_path / "a.tar", f"--model={folder}").stderr
    (folder / "saved_model.pb").write_bytes(b"model")
    assert make(tmp_path / "a.tar", f"--model={folder}", "--tag=example.com/clicks:1").returncode == 0
    manifest, config, layer = read(tmp_path / "a.tar")
    assert manifest["RepoTags"] == ["example.com/clicks:1"]
    assert layer.extractfile("models/clicks/1/saved_model.pb").read() == b"model"
    assert "MODEL_NAME=clicks" in config["config"]["Env"]
