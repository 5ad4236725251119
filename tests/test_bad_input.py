"""Bad input gets one sentence with file, place, found and wanted; exit 1, for flags 2; and nothing that
is half-written."""

import gzip
import json
import pathlib
import re
import shutil

import pytest

import program

RECORD_BYTES = 88  # of a dense example of 9 numbers, with its framing


class BadFiles:
    """Damaged files, each made when it is asked for."""

    def __init__(self, folder, synth):
        self.folder, self.synth = folder, synth

    def good(self, kind="dense", form="tfrecord"):
        pattern = pathlib.Path(self.synth(kind, 200, format=form))
        return next(pattern.parent.glob(pattern.name))

    def write(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def flipped(self, at):
        content = bytearray(self.good().read_bytes())
        content[at] ^= 1
        return self.write(f"flipped_{at}", bytes(content))

    def cut(self, size):
        return self.write(f"cut_{size}", self.good().read_bytes()[:size])

    def lines(self, change, kind="dense", form="csv"):
        """A text file whose lines `change` has changed."""
        lines = self.good(kind, form).read_text().splitlines()
        change(lines)
        return self.write(f"changed.{form}", "\n".join(lines) + "\n")

    def model(self, text):
        return self.write("model.yaml", text)


def set_line(i, text):
    return lambda lines: lines.__setitem__(i, text)


def features(text, model="lr"):
    return f"model: {model}\nfeatures:\n  - {{{text}}}\n"


ROW = "1,2,3,4,5,6,7,8,9,10"
# name: (flags of train, exit code, what the sentence must say)
TRAINING = {
    "missing file": (lambda f: {"train_files": "nowhere.tfrecord"}, 1,
                     "open nowhere.tfrecord: no such file"),
    "no match": (lambda f: {"train_files": "nothing-*"}, 1, r"open nothing-\*: no file matches"),
    "one of two missing": (lambda f: {"train_files": [f.good(), "nowhere"]}, 1, "open nowhere"),
    "empty file": (lambda f: {"train_files": f.write("empty", "")}, 1, "empty: has no records"),
    "folder": (lambda f: {"train_files": f.folder}, 1, "directory"),
    "second file empty": (lambda f: {"train_files": [f.good(), f.write("empty", "")]}, 1,
                          "empty: has no records"),
    "cut in a record": (lambda f: {"train_files": f.cut(1000)}, 1,
                        r"cut_1000 at offset 968: the file ends in a record's payload: \d+ bytes, "
                        r"expected \d+"),
    "cut in a length": (lambda f: {"train_files": f.cut(RECORD_BYTES * 3 + 5)}, 1,
                        "cut_269 at offset 264: the file ends in"),
    "cut gzip": (lambda f: {"train_files": f.write(
                     "cut.gz", gzip.compress(f.good().read_bytes())[:300])}, 1,
                 "cut.gz at byte 300 .*: the compressed stream is cut"),
    "payload crc": (lambda f: {"train_files": f.flipped(RECORD_BYTES * 50 + 40)}, 1,
                    "at offset 4400: payload crc 0x[0-9a-f]+, expected 0x[0-9a-f]+"),
    "length crc": (lambda f: {"train_files": f.flipped(RECORD_BYTES * 50 + 2)}, 1,
                   "at offset 4400: length crc 0x[0-9a-f]+, expected 0x[0-9a-f]+"),
    "first record's crc": (lambda f: {"train_files": f.flipped(40)}, 1,
                           "flipped_40 at offset 0: payload crc"),
    "validation file's crc": (lambda f: {"train_files": f.good(),
                                         "validation_files": f.flipped(4440)}, 1,
                              "flipped_4440 at offset 4400: payload crc"),
    "too few columns": (lambda f: {"train_files": f.lines(set_line(7, "1,2,3"))}, 1,
                        "changed.csv at line 8: the line has 3 columns, wanted 10"),
    "another format behind the first": (lambda f: {"train_files": [f.good(form="csv"), f.good()]}, 1,
                                        r"tfrecord at line 1: the header is 'H\\x00.*wanted "
                                        "'label,x1,"),
    "word in a column": (lambda f: {"train_files": f.lines(
                             lambda lines: lines.append(ROW.replace("4", "four"))),
                                    "model_file": f.model(features("name: x3, type: float"))}, 1,
                         "at line 202: feature 'x3'.* 'four'"),
    "nan": (lambda f: {"train_files": f.lines(set_line(5, ROW.replace("4", "nan").replace("1", "1", 1)))},
            1, "at line 6: feature 'features' is nan in element 2, wanted a finite number"),
    "infinite": (lambda f: {"train_files": f.lines(set_line(5, ROW.replace("4", "-inf")))}, 1,
                 "at line 6: feature 'features' is -inf in element 2, wanted a finite number"),
    "infinite weight": (lambda f: {"train_files": f.lines(set_line(2, "1 3:1 9:inf"), "sparse",
                                                          "libsvm")}, 1,
                        "at line 3: feature 'ids' has weight inf in 'values'"),
    "label beyond the classes": (lambda f: {"train_files": f.lines(set_line(9, "2" + ROW[1:]))}, 1,
                                 r"at line 10: label 'label' is 2, wanted a whole number in "
                                 r"\[0, 2\)"),
    "label missing in a line": (lambda f: {"train_files": f.lines(set_line(9, ROW[1:]))}, 1,
                                "at line 10: there is no label 'label'"),
    "no such label": (lambda f: {"train_files": f.good(), "label_column": "labell"}, 1,
                      "no label 'labell'; they have features float.*, nearest is 'label'"),
    "id beyond the size": (lambda f: {"train_files": f.good("sparse"), "feature_size": 100}, 1,
                           r"at offset \d+: feature 'ids' has id 1\d\d, which is outside "
                           r"\[0, 100\)"),
    "wrong type": (lambda f: {"train_files": f.good(),
                              "model_file": f.model(features("name: features, type: id"))}, 1,
                   r"at offset \d+: feature 'features' is float, wanted int64"),
    "wrong length": (lambda f: {"train_files": f.good(), "model_file": f.model(
                         features("name: features, type: float, length: 8"))}, 1,
                     r"at offset \d+: feature 'features' has 9 values, wanted 8"),
    "no such feature": (lambda f: {"train_files": f.good(), "model_file": f.model(
                            features("name: featurs, type: float, length: 9"))}, 1,
                        "no feature 'featurs' .*they have features float.*nearest is 'features'"),
    "unknown model": (lambda f: {"train_files": f.good(), "model": "wide_and_dep"}, 2,
                      "unknown model 'wide_and_dep', nearest is 'wide_and_deep'"),
    **{f"side model {name}": (lambda f, name=name: {"train_files": f.good(), "model": name}, 2,
                              f"model '{name}' is for images and sequences")
       for name in ["cnn", "customized_cnn", "lstm", "bidirectional_lstm", "gru"]},
    "unknown optimizer": (lambda f: {"train_files": f.good(), "optimizer": "adagrat"}, 2,
                          "unknown optimizer 'adagrat', nearest is 'adagrad'"),
    "unknown loss": (lambda f: {"train_files": f.good(), "loss": "sofmax"}, 2,
                     "unknown 'sofmax', nearest is 'softmax'"),
    "unknown flag": (lambda f: {"train_files": f.good(), "lerning_rate": 1}, 2,
                     "unknown flag --lerning_rate, nearest is --learning_rate"),
    "unknown mode": (lambda f: {"train_files": f.good(), "mode": "trian"}, 2,
                     "unknown 'trian', nearest is 'train'"),
    "unknown format": (lambda f: {"train_files": f.good(), "file_format": "tfrec"}, 2,
                       "format 'tfrec' is not known.*nearest is 'tfrecord'"),
    "no number": (lambda f: {"train_files": f.good(), "learning_rate": "fast"}, 2,
                  "flag --learning_rate: found 'fast', wanted a number"),
    "endless": (lambda f: {"train_files": f.good(), "epoch_number": 0}, 2,
                "--epoch_number=0.*wanted 1 or more"),
    "negative rate": (lambda f: {"train_files": f.good(), "learning_rate": -1}, 2,
                      "learning rate -1 is not a positive number"),
    "wrong feature size": (lambda f: {"train_files": f.good(), "feature_size": 10}, 2,
                           "--feature_size=10: .* of 9 numbers"),
    "wrong widths": (lambda f: {"train_files": f.good(), "dnn_struct": "8 x"}, 2,
                     "--dnn_struct: found '8 x'"),
    "no categories for fm": (lambda f: {"train_files": f.good(), "model": "fm"}, 2,
                             "model fm wants at least one categorical feature"),
    "two descriptions": (lambda f: {"train_files": f.good(), "model": "lr", "model_file": f.model(
                             features("name: features, type: float, length: 9"))}, 2,
                         "--model describes a model, but --model_file"),
    "no model file": (lambda f: {"train_files": f.good(), "model_file": "nowhere.yaml"}, 1,
                      "open nowhere.yaml"),
    "yaml: unknown key": (lambda f: {"train_files": f.good(), "model_file": f.model(
                              "modle: lr\n")}, 1,
                          "model.yaml:1:1: unknown key 'modle', nearest is 'model'"),
    "yaml: unknown key of a feature": (lambda f: {"train_files": f.good(), "model_file": f.model(
                                           features("name: x, type: float, lenght: 3"))}, 1,
                                       r"model.yaml:3:\d+: unknown key 'lenght', nearest is "
                                       "'length'"),
    "yaml: unknown word": (lambda f: {"train_files": f.good(), "model_file": f.model(
                               features("name: x, type: flaot"))}, 1,
                           r"model.yaml:3:\d+: unknown 'flaot', wanted one of float"),
    "yaml: unknown model": (lambda f: {"train_files": f.good(), "model_file": f.model(
                                features("name: x, type: float", "dlmr"))}, 1,
                            "model.yaml:1:8: unknown model 'dlmr', nearest is 'dlrm'"),
    "yaml: side model": (lambda f: {"train_files": f.good(), "model_file": f.model(
                             features("name: x, type: float", "lstm"))}, 1,
                         "model.yaml:1:8: model 'lstm' is for images and sequences"),
    "yaml: syntax": (lambda f: {"train_files": f.good(), "model_file": f.model(
                         "model: lr\nfeatures: [\n")}, 1, r"model.yaml:\d+:\d+: "),
    "yaml: cross of nothing": (lambda f: {"train_files": f.good(), "model_file": f.model(
                                   features("name: x, type: cross, of: [a, b]"))}, 1,
                               "feature 'x': cross of unknown feature 'a'"),
    "loss becomes nan": (lambda f: {"train_files": f.good(), "model": "lr",
                                    "learning_rate": 1e38, "epoch_number": 100}, 1,
                         r"train step \d+ \(epoch \d+, batch \d+\): the loss is -?nan"),
}


@pytest.fixture
def bad_files(tmp_path, synth):
    (tmp_path / "input").mkdir()
    return BadFiles(tmp_path / "input", synth)


def sentence(done, command):
    """The only line on stderr."""
    assert done.stderr.count("\n") == 1 and done.stderr.endswith("\n"), done.stderr
    assert done.stderr.startswith(f"capstan {command}: "), done.stderr
    assert not re.search(r"[\0-\x08\x0e-\x1f]", done.stderr), "unprintable characters"
    return done.stderr


def files_under(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("name", TRAINING)
def test_training(bad_files, tmp_path, name):
    flags, exit_code, says = TRAINING[name]
    flags = {"epoch_number": 1, **flags(bad_files)}
    done = program.train(tmp_path, quiet=True, exit_code=exit_code, **flags)
    assert re.search(says, sentence(done, "train")), done.stderr
    assert not files_under(tmp_path / "export") and not files_under(tmp_path / "ck")


# Other commands -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory, synth):
    """A folder with ck and export of a dense and of a sparse model."""
    folder = tmp_path_factory.mktemp("trained")
    for kind in ["dense", "sparse"]:
        (folder / kind).mkdir()
        program.train(folder / kind, train_files=synth(kind, 200), epoch_number=1, model="lr")
    return folder


OTHERS = {
    "evaluate: no model": ("evaluate", lambda f, t: {"model_path": "nowhere", "files": f.good()}, 1,
                           "open nowhere: no SavedModel"),
    "evaluate: no files": ("evaluate", lambda f, t: {"model_path": t / "dense/export"}, 2,
                           "--files is missing"),
    "evaluate: neither": ("evaluate", lambda f, t: {"files": f.good()}, 2,
                          "one of --model_path and --checkpoint_path"),
    "evaluate: no labels": ("evaluate", lambda f, t: {
        "model_path": t / "dense/export", "files": f.lines(
            lambda lines: lines.__setitem__(slice(None), [l.split(",", 1)[1] for l in lines]))}, 1,
                            "no column 'label'|no label 'label'"),
    "evaluate: other records": ("evaluate", lambda f, t: {"model_path": t / "dense/export",
                                                          "files": f.good("sparse")}, 1,
                                "no feature 'features' .*they have ids int64"),
    "predict: bad record": ("predict", lambda f, t: {
        "model_path": t / "dense/export", "files": f.flipped(4440), "output": "out.csv"}, 1,
                            "at offset 4400: payload crc"),
    "predict: no such folder": ("predict", lambda f, t: {
        "model_path": t / "dense/export", "files": f.good(), "output": "nowhere/out.csv"}, 1,
                                "nowhere/out.csv"),
    "predict: unknown format": ("predict", lambda f, t: {
        "model_path": t / "dense/export", "files": f.good(), "output_format": "cvs"}, 2,
                                "unknown format 'cvs'"),
    "predict: id beyond the size": ("predict", lambda f, t: {
        "model_path": t / "sparse/export", "files": f.write("x.libsvm", "0 3:1 124:1\n"),
        "output": "out.csv"}, 1, r"at line 1: feature 'ids' has id 124, .*\[0, 124\)"),
    "export: no checkpoint": ("export", lambda f, t: {"checkpoint_path": "nowhere",
                                                      "model_path": "out"}, 1, "open nowhere"),
    "synth: unknown kind": ("synth", lambda f, t: {"kind": "click", "output": "out"}, 2,
                            "'click' is not known.*nearest is 'clicks'"),
    "synth: no output": ("synth", lambda f, t: {"rows": 10}, 2, "--output is missing"),
    "synth: dense as criteo": ("synth", lambda f, t: {"kind": "dense", "format": "criteo",
                                                      "output": "out"}, 2, "criteo"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_commands(bad_files, trained, tmp_path, name):
    command, flags, exit_code, says = OTHERS[name]
    flags = flags(bad_files, trained)
    if command in ("evaluate", "predict"):
        flags["quiet"] = True
    done = program.run(command, cwd=tmp_path, exit_code=exit_code, **flags)
    assert re.search(says, sentence(done, command)), done.stderr
    assert not done.stdout
    assert all(path.startswith("input/") for path in files_under(tmp_path))


def test_unknown_command(tmp_path):
    done = program.run("trian", exit_code=2)
    assert done.stderr == ("capstan: unknown command 'trian', nearest is 'train'; "
                           "`capstan --help` lists all\n")


@pytest.mark.parametrize("suffix, damage", [
    (".index", lambda b: b[:50]), (".index", lambda b: b[:-1] + b"\0"), (".index", lambda b: b""),
    (".data-00000-of-00001", lambda b: b[:-1]), (".data-00000-of-00001", lambda b: None),
    (".data-00000-of-00001", lambda b: b[:-100] + bytes([b[-100] ^ 1]) + b[-99:])])
@pytest.mark.parametrize("command", ["inspect", "predict", "export", "train"])
def test_damaged_checkpoint(trained, tmp_path, synth, bad_files, command, suffix, damage):
    """It is named and not used; in training too, where the choice to begin anew is the user's."""
    shutil.copytree(trained / "dense" / "ck", tmp_path / "ck")
    prefix = program.newest_checkpoint(tmp_path / "ck")
    path = pathlib.Path(f"{prefix}{suffix}")
    content = damage(path.read_bytes())
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    if command == "inspect":
        done = program.run("inspect", prefix, digest=True, exit_code=1)
    elif command == "train":
        done = program.train(tmp_path, train_files=synth("dense", 200), model="lr", quiet=True,
                             exit_code=1)
    else:
        flags = {"predict": {"files": bad_files.good(), "quiet": True, "output": "out.csv"},
                 "export": {"model_path": "export"}}[command]
        done = program.run(command, cwd=tmp_path, exit_code=1, checkpoint_path=prefix, **flags)
    assert str(prefix) in sentence(done, command)
    assert not (tmp_path / "out.csv").exists() and not files_under(tmp_path / "export")


# Records that may be bad --------------------------------------------------------------------------


def test_max_bad_records(bad_files, tmp_path):
    """Fifteen bad lines of two kinds: all counted, ten shown; the rest is trained as if they had not
    been there."""
    places = [*range(3, 150, 10)]

    def spoil(lines):
        for i in places:
            lines[i] = "1,2,3" if i % 20 == 3 else ROW.replace("4", "nan")

    files = bad_files.lines(spoil)
    flags = {"train_files": files, "epoch_number": 1, "shuffle_block": 0}
    done = program.train(tmp_path, max_bad_records=15, **flags)
    assert "left out 15 bad records:" in done.stderr
    shown = [line for line in done.stderr.splitlines() if f"read {files} at line" in line]
    assert len(shown) == 10
    for i, line in zip(places, shown):
        assert f"at line {i + 1}: " in line
    done = program.train(tmp_path, max_bad_records=14, mode="train_from_scratch", exit_code=1,
                         quiet=True, **flags)
    assert "this is bad record 15, at most 14 are allowed" in sentence(done, "train")
    done = program.run("evaluate", model_path=tmp_path / "export", files=files, json=True,
                       max_bad_records=20)
    assert json.loads(done.stdout)["examples"] == 200 - 15


def test_bad_records_are_counted_once(bad_files, tmp_path):
    """Not once in each epoch."""
    done = program.train(tmp_path, train_files=bad_files.flipped(4440), epoch_number=5,
                         max_bad_records=1)
    assert "left out 1 bad record" in done.stderr
    assert "at offset 4400: payload crc" in done.stderr


def test_a_whole_run_with_a_bad_tail(bad_files, tmp_path):
    """A file that is cut in the middle of a record counts as one bad record at its end."""
    done = program.train(tmp_path, train_files=bad_files.cut(1000), epoch_number=1,
                         max_bad_records=1)
    assert "left out 1 bad record" in done.stderr
    done = program.run("predict", model_path=tmp_path / "export", files=bad_files.cut(1000),
                       max_bad_records=1, quiet=True)
    assert len(done.stdout.splitlines()) == 1 + 1000 // RECORD_BYTES
