"""Data that the stories share: small sets made by `capstan synth`, and the sets of 2016–2018.

The latter are not part of the project: the environment variable CAPSTAN_TEST_DATA names the folder
that has them in deep_recommend_system/. Stories that want them are skipped without it.
"""

import os
import pathlib
import re

import pytest

import program


def pytest_sessionstart():
    if not program.CAPSTAN.exists():
        pytest.exit(f"{program.CAPSTAN} is not there: build it, or name its folder in CAPSTAN_BUILD",
                    returncode=4)


class Synth:
    """Makes each set once. Calls give the glob of the files."""

    def __init__(self, folder):
        self.folder = folder
        self.made = {}

    def __call__(self, kind, rows, **flags):
        key = (kind, rows, *sorted(flags.items()))
        if key not in self.made:
            flags.setdefault("seed", 1)
            if kind == "clicks":
                flags.setdefault("scale", 0.0005)
            prefix = self.folder / f"{kind}{len(self.made)}"
            done = program.run("synth", kind=kind, rows=rows, output=prefix, **flags)
            best = float(re.search(r"best possible auc: ([0-9.]+)", done.stdout)[1])
            self.made[key] = (f"{prefix}-*", best)
        return self.made[key][0]

    def best_auc(self, kind, rows, **flags):
        """Of the same set: what no model can beat."""
        self(kind, rows, **flags)
        return self.made[(kind, rows, *sorted(flags.items()))][1]


@pytest.fixture(scope="session")
def synth(tmp_path_factory):
    return Synth(tmp_path_factory.mktemp("synth"))


@pytest.fixture(scope="session")
def real_data():
    """The folder deep_recommend_system."""
    root = os.environ.get("CAPSTAN_TEST_DATA", "")
    if not root:
        pytest.skip("CAPSTAN_TEST_DATA is not set: the data sets of 2016–2018 are not here")
    folder = pathlib.Path(root) / "deep_recommend_system"
    if not folder.is_dir():
        pytest.skip(f"CAPSTAN_TEST_DATA={root} has no folder deep_recommend_system")
    return folder
