#!/usr/bin/env python3
"""Makes the project's container image as a file, from the built binary alone: no registry, no base image.

    scripts/image.py --output=capstan.tar
    scripts/image.py --output=clicks.tar --tag=clicks:1 --model=export/clicks

The file is a docker-archive: `docker load -i`, `podman load -i`, `ctr -n k8s.io images import`, `kind load
image-archive` and `crane push` take it. Inside: capstan, stripped, with the libraries that it needs; capstan-task if
it was built; busybox for `kubectl exec`; certificates of public authorities. It runs as user 65532. The same inputs
give the same bytes.
"""
import argparse
import hashlib
import io
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMIT_MB = 100
USER = 65532
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Applets of a shell that looks around in a pod; the others are there as `busybox NAME`.
APPLETS = """awk base64 cat chmod cp cut date dd df dirname du env expr false find grep gzip head hostname id kill ln ls md5sum
mkdir more mv nc netstat nslookup ping printenv printf ps pwd readlink rm rmdir sed seq sh sha256sum sleep sort stat tail tar
tee test timeout top touch tr true tty uname uniq vi wc wget which xargs yes""".split()


def closure(binary):
    """The shared libraries that the binary loads, and the loader, as {path in the image: file}."""
    listing = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
    missing = re.findall(r"(\S+) => not found", listing)
    if missing:
        sys.exit(f"image: {binary} needs {', '.join(missing)}, which this machine lacks")
    libraries = {}
    for path in re.findall(r"(?:=> |^\s*)(/\S+)", listing, re.MULTILINE):
        # The loader and soname links keep their names; the bytes are those of the file behind.
        libraries[path] = pathlib.Path(path).resolve()
    return libraries


def stripped(binary, folder):
    copy = pathlib.Path(folder) / binary.name
    subprocess.run(["strip", "-o", copy, binary], check=True)
    return copy


class Layer:
    """A tar of files with fixed owner and time."""

    def __init__(self):
        self.entries = {}  # path → (TarInfo, bytes)

    def _add(self, path, kind, mode, data=b"", target=""):
        info = tarfile.TarInfo(path.strip("/"))
        info.type, info.mode, info.size, info.linkname = kind, mode, len(data), target
        self.entries[info.name] = (info, data)
        parent = os.path.dirname(info.name)
        if parent and parent not in self.entries:
            self._add(parent, tarfile.DIRTYPE, 0o755)

    def folder(self, path, mode=0o755):
        self._add(path, tarfile.DIRTYPE, mode)

    def file(self, path, data, mode=0o644):
        self._add(path, tarfile.REGTYPE, mode, data)

    def link(self, path, target):
        self._add(path, tarfile.SYMTYPE, 0o777, target=target)

    def size_bytes(self):
        return sum(len(data) for _, data in self.entries.values())

    def tar(self):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name in sorted(self.entries):
                info, data = self.entries[name]
                tar.addfile(info, io.BytesIO(data))
        return out.getvalue()


def fill(layer, build, work):
    capstan = build / "capstan"
    layer.file("usr/bin/capstan", stripped(capstan, work).read_bytes(), 0o755)
    for path, source in sorted(closure(capstan).items()):
        layer.file(path, source.read_bytes(), 0o755)
    task = build / "capstan-task"
    if task.exists():
        layer.file("capstan-task", stripped(task, work).read_bytes(), 0o755)
    busybox = pathlib.Path("/bin/busybox")
    if busybox.exists():
        layer.file("bin/busybox", busybox.read_bytes(), 0o755)
        for applet in APPLETS:
            layer.link(f"bin/{applet}", "busybox")
    else:
        print("image: no /bin/busybox here (package busybox-static): the image has no shell", file=sys.stderr)
    authorities = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
    if authorities.exists():
        layer.file("etc/ssl/certs/ca-certificates.crt", authorities.read_bytes())
    layer.file("etc/passwd", f"root:x:0:0:root:/root:/bin/sh\ncapstan:x:{USER}:{USER}:capstan:/home/capstan:/bin/sh\n".encode())
    layer.file("etc/group", f"root:x:0:\ncapstan:x:{USER}:\n".encode())
    layer.file("etc/nsswitch.conf", b"hosts: files dns\n")
    layer.folder("tmp", 0o1777)
    layer.folder("home/capstan", 0o777)
    layer.folder("var/run/capstan", 0o777)


def add_model(layer, model, name):
    """The versions of a model: MODEL/1/saved_model.pb …, or MODEL/saved_model.pb as version 1."""
    target = f"models/{name}" + ("/1" if (model / "saved_model.pb").exists() else "")
    files = [path for path in sorted(model.rglob("*")) if path.is_file()]
    if not any(path.name == "saved_model.pb" for path in files):
        sys.exit(f"image: {model}: no saved_model.pb in it")
    for path in files:
        layer.file(f"{target}/{path.relative_to(model)}", path.read_bytes())


def archive(layer, tag, entrypoint, env):
    """The docker-archive of one layer, as bytes."""
    data = layer.tar()
    layer_id = hashlib.sha256(data).hexdigest()
    config = json.dumps({
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()), "os": "linux",
        "config": {"Entrypoint": entrypoint, "User": f"{USER}:{USER}", "WorkingDir": "/home/capstan", "Env": env},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + layer_id]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "scripts/image.py"}]}).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [tag], "Layers": [layer_id + "/layer.tar"]}]).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in ((config_name, config), (f"{layer_id}/layer.tar", data), ("manifest.json", manifest)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--tag", default="docker.io/library/capstan:latest", help="name of the image")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="folder of the built binary")
    parser.add_argument("--model", type=pathlib.Path, help="folder of a SavedModel, or of its numbered versions, to put inside")
    parser.add_argument("--model_name", default="", help="its name; else the folder's")
    options = parser.parse_args()
    layer = Layer()
    with tempfile.TemporaryDirectory() as work:
        fill(layer, options.build, work)
    size_mb = layer.size_bytes() / 1e6
    if size_mb > LIMIT_MB:
        sys.exit(f"image: {size_mb:.0f} MB without a model, wanted at most {LIMIT_MB}")
    env = ["PATH=/usr/bin:/bin"]
    if options.model:
        name = options.model_name or options.model.resolve().name
        add_model(layer, options.model, name)
        env += [f"MODEL_NAME={name}", "MODEL_BASE_PATH=/models"]
    tag = options.tag
    if "/" not in tag:
        tag = "docker.io/library/" + tag
    options.output.write_bytes(archive(layer, tag, ["/usr/bin/capstan"], env))
    print(f"image: {tag}, {layer.size_bytes() / 1e6:.1f} MB unpacked, in {options.output}")


if __name__ == "__main__":
    main()
