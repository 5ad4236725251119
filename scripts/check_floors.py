#!/usr/bin/env python3
"""Checks the house: which room includes which, which library enters where, and how files are called.

A room may include any lower floor, never its own floor and never above. Run from anywhere; exits 1 and names
file and line of every break.
"""
import pathlib
import re
import sys

FLOORS = {
    "base": 0, "task": 1, "tensor": 1, "formats": 2, "net": 2, "data": 3, "params": 3,
    "model": 4, "graph": 4, "ps": 4, "train": 5, "serve": 5, "launch": 5, "gpu": 5, "cli": 6,
}
# Beginning of an #include -> the rooms that may have it. Tests may include what they like of these.
LIBRARIES = {
    "dnnl": {"tensor"}, "oneapi/": {"tensor"}, "hwy/": {"tensor", "params"}, "omp.h": {"tensor"},
    "yaml-cpp/": {"base"}, "CLI/": {"cli"}, "spdlog/": {"cli"},
    "nlohmann/": {"cli", "formats", "net", "ps", "launch", "gpu"},
    "google/protobuf/": {"formats", "model", "train", "net", "cli", "serve"},
    "tensorflow/": {"formats", "model", "train", "cli", "graph", "serve"},
    "zlib.h": {"formats"}, "snappy": {"formats"}, "zstd": {"formats"},
    "farmhash": {"data", "graph"}, "xxhash": {"formats", "data", "cli"},
    "absl/": {"base"},
    "grpc": {"net", "ps", "serve", "gpu"}, "boost/": {"net"}, "curl/": {"net"},
    "prometheus/": {"net"}, "openssl/": {"net"},
}
HEAVY_IN_HEADERS = ("dnnl", "oneapi/", "hwy/", "yaml-cpp/", "CLI/", "nlohmann/", "google/protobuf/",
                    "tensorflow/", "zlib.h", "grpc", "boost/", "curl/",
                    "prometheus/", "openssl/")
VAGUE = re.compile(r"(util|helper|common|misc|manager|impl|wrapper)s?(_|\.|$)")
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]')


def test_files(files: list[pathlib.Path]) -> set[pathlib.Path]:
    """Tests, and what only tests include: libraries may enter there, heavy headers too."""
    by_name = {"/".join(p.parts[-2:]): p for p in files}
    tests = {p for p in files if p.stem.endswith("_test")}
    users = {p: set() for p in files}
    for path in files:
        for line in path.read_text().splitlines():
            match = INCLUDE.match(line)
            if match and match.group(1) in by_name and by_name[match.group(1)].stem != path.stem:
                users[by_name[match.group(1)]].add(path)
    while True:
        more = {p for p in files if p not in tests and p.suffix == ".h" and users[p] and users[p] <= tests}
        more |= {p for p in files if p not in tests and p.suffix == ".cc" and p.with_suffix(".h") in tests}
        if not more:
            return tests
        tests |= more


def check_file(path: pathlib.Path, room: str, is_test: bool) -> list[str]:
    breaks = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        target, place = match.group(1), f"{path}:{number}"
        other = target.split("/")[0]
        if "/" in target and other in FLOORS and other != room and FLOORS[other] >= FLOORS[room]:
            breaks.append(f"{place}: room {room} (floor {FLOORS[room]}) includes {target} "
                          f"(floor {FLOORS[other]})")
        for prefix, rooms in LIBRARIES.items():
            if target.startswith(prefix) and room not in rooms and not is_test:
                breaks.append(f"{place}: <{target}> may enter {', '.join(sorted(rooms))}, not {room}")
        heavy = target.startswith(HEAVY_IN_HEADERS)
        if path.suffix == ".h" and heavy and not path.stem.endswith("-inl") and not is_test:
            breaks.append(f"{place}: heavy header <{target}> belongs into a .cc file")
    return breaks


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent
    breaks = []
    files = sorted(p for p in (root / "src").rglob("*") if p.suffix in (".h", ".cc"))
    tests = test_files(files)
    for path in files:
        relative = path.relative_to(root)
        room = relative.parts[1]
        if room not in FLOORS or len(relative.parts) != 3:
            breaks.append(f"{relative}: no room of the house")
            continue
        if VAGUE.search(path.name):
            breaks.append(f"{relative}: a name that hides a noun")
        breaks += [b.replace(str(root) + "/", "") for b in check_file(path, room, path in tests)]
    for line in breaks:
        print(line)
    print(f"{len(files)} files, {len(breaks)} breaks of the floors")
    return 1 if breaks else 0


if __name__ == "__main__":
    sys.exit(main())
