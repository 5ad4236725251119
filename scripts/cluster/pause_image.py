#!/usr/bin/env python3
"""pause_image.py OUTPUT.tar PROGRAM: the image of the container that holds a pod's namespaces."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import image

output, program = map(pathlib.Path, sys.argv[1:])
layer = image.Layer()
layer.file("pause", program.read_bytes(), 0o755)
output.write_bytes(image.archive(layer, "docker.io/capstan-test/pause:1", ["/pause"], []))
