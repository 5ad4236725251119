"""What `render` prints is what a real API server takes, strictly, for each layout and version."""

import re

import pytest

import program

GOLDEN = sorted((program.ROOT / "tests/golden/render").glob("*.L?.1.*.yaml"))
# Kinds that somebody must have installed, or switched on; and the field that goes with them.
FOREIGN = {"GRPCRoute", "PodGroup"}
GATED = re.compile(r"^ *schedulingGroup:\n *podGroupName: .*\n", re.MULTILINE)


def kind_of(document):
    return re.search(r"^kind: (\w+)$", document, re.MULTILINE)[1]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_files_are_accepted(kube, path):
    documents = [text for text in path.read_text().split("---\n") if kind_of(text) not in FOREIGN]
    text = GATED.sub("", "---\n".join(documents))
    kube.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "--field-manager=capstan", "-f", "-",
                 stdin=text)


def test_there_are_golden_files():
    assert GOLDEN
