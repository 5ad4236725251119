"""evaluate, predict, export and inspect from the user's side: what they read, in which order, and that
the answers depend on nothing but model and records."""

import csv
import gzip
import io
import json
import pathlib
import re

import numpy as np
import pytest

import program


@pytest.fixture(scope="module")
def clicks(synth):
    """The files of a click set as CSV."""
    pattern = pathlib.Path(synth("clicks", 3000, files=3, format="csv"))
    return sorted(pattern.parent.glob(pattern.name))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, synth):
    folder = tmp_path_factory.mktemp("trained")
    model = {"model": "wide_and_deep", "embedding": {"dim": 4}, "deep": {"hidden": [8]},
             "features": [{"name": "I{1..13}", "type": "float", "log1p": True},
                          {"name": "C{1..26}", "type": "id"}]}
    (folder / "model.yaml").write_text(json.dumps(model))
    program.train(folder, model_file="model.yaml", train_files=synth("clicks", 3000, files=3),
                  train_batch_size=100, epoch_number=2)
    return folder


def predict(trained, files, **flags):
    return program.run("predict", model_path=trained / "export", files=files, quiet=True,
                       **flags).stdout


def probabilities(text):
    return [float(line["probability"]) for line in csv.DictReader(io.StringIO(text))]


def test_predictions_depend_on_model_and_records_only(trained, synth, clicks):
    wanted = predict(trained, synth("clicks", 3000, files=3))
    assert len(wanted.splitlines()) == 3001
    for flags in [{"threads": 1}, {"threads": 4}, {"input_threads": 0}, {"input_threads": 3}]:
        assert predict(trained, synth("clicks", 3000, files=3), **flags) == wanted
    for batch_size in [1, 7]:  # other shapes of products, other last bits
        got = predict(trained, synth("clicks", 3000, files=3), batch_size=batch_size)
        np.testing.assert_allclose(probabilities(got), probabilities(wanted), rtol=1e-5)
    assert predict(trained, clicks) == wanted
    assert predict(trained, synth("clicks", 3000, files=3, format="criteo")) == wanted
    assert predict(trained, synth("clicks", 3000, files=3, gzip=True)) == wanted


def test_order_of_files(trained, clicks):
    """A list is read as it is written, a glob by name."""
    lines = {path: predict(trained, path).splitlines()[1:] for path in clicks}
    order = [clicks[2], clicks[0]]
    assert predict(trained, order).splitlines()[1:] == lines[order[0]] + lines[order[1]]
    together = predict(trained, clicks[0].parent / clicks[0].name.replace("00000-of", "*-of"))
    assert together.splitlines()[1:] == [line for path in clicks for line in lines[path]]


def test_records_without_labels(trained, clicks, tmp_path):
    with open(clicks[0]) as file:
        rows = list(csv.reader(file))
    path = tmp_path / "unlabelled.csv"
    path.write_text("".join(",".join(row[1:]) + "\n" for row in rows))
    assert predict(trained, path) == predict(trained, clicks[0])
    (tmp_path / "unlabelled.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert predict(trained, tmp_path / "unlabelled.csv.gz") == predict(trained, clicks[0])


def test_id_columns(trained, clicks):
    table = list(csv.DictReader(io.StringIO(predict(trained, clicks[0], id_columns="C3,C4"))))
    rows = list(csv.DictReader(open(clicks[0])))
    assert list(table[0]) == ["C3", "C4", "prediction", "probability"]
    assert [(line["C3"], line["C4"]) for line in table] == [(r["C3"], r["C4"]) for r in rows]
    lines = predict(trained, clicks[0], id_columns="C3", output_format="json").splitlines()
    assert [json.loads(line)["C3"] for line in lines] == [row["C3"] for row in rows]


def test_groups_and_weights_by_flags(trained, clicks):
    plain = program.evaluate(model_path=trained / "export", files=clicks)
    assert "gauc" not in plain and plain["examples"] == 3000
    grouped = program.evaluate(model_path=trained / "export", files=clicks, group_column="C9")
    assert 0.5 < grouped.pop("gauc") < 1 and grouped == plain
    weighted = program.evaluate(model_path=trained / "export", files=clicks, weight_column="I9")
    assert weighted["auc"] != plain["auc"]
    by_checkpoint = program.evaluate(checkpoint_path=trained / "ck", files=clicks)
    assert by_checkpoint == plain


def test_groups_of_libsvm(tmp_path):
    lines = [f"{i % 2} qid:{i // 4} 1:{i % 3} {2 + i % 5}:1\n" for i in range(40)]
    (tmp_path / "train.libsvm").write_text("".join(lines))
    program.train(tmp_path, train_files="train.libsvm", model="lr", epoch_number=1)
    got = program.evaluate(model_path=tmp_path / "export", files=tmp_path / "train.libsvm",
                           group_column="qid")
    assert 0 <= got["gauc"] <= 1


def test_evaluation_line(trained, clicks):
    done = program.run("evaluate", model_path=trained / "export", files=clicks)
    assert re.search(r"examples: 3000, loss: [\d.]+, accuracy: [\d.]+, auc: [\d.]+", done.stderr)


def test_versions(trained, tmp_path, clicks, synth):
    """Exports get the next version; a folder of versions stands for the newest."""
    base = tmp_path / "export"
    program.run("export", checkpoint_path=trained / "ck", model_path=base)
    (base / "7").mkdir()
    (base / "7" / "saved_model.pb").write_bytes((base / "1" / "saved_model.pb").read_bytes())
    (base / "notes").mkdir()
    done = program.run("export", checkpoint_path=trained / "ck", model_path=base)
    assert f"Save the model in: {base}/8" in done.stderr
    assert sorted(p.name for p in base.iterdir()) == ["1", "7", "8", "notes"]
    newest = program.run("predict", model_path=base, files=clicks[0])
    assert f"{base}/8" in newest.stderr
    assert program.run("predict", model_path=base / "1", files=clicks[0]).stdout == newest.stdout


def test_inspect_of_everything(trained, clicks, synth):
    """Each kind of file, for a person and as JSON; digests tell contents apart."""
    records = sorted(pathlib.Path(synth("clicks", 3000, files=3)).parent.glob("clicks*.tfrecord"))
    events = next((trained / "events").iterdir())
    checkpoint = program.newest_checkpoint(trained / "ck")
    digests = set()
    for path, word in [(records[0], "TFRecord"), (events, "event file"),
                       (trained / "ck", "folder of checkpoints"), (checkpoint, "tables/C1-keys"),
                       (trained / "export", "serving_default"),
                       (trained / "export" / "1", "signature predict_examples")]:
        assert word in program.run("inspect", path).stdout
        assert program.inspect(path)["path"].startswith(str(path))
        digests.add(program.digest(path))
    assert len(digests) == 4  # the folders' are those of what is newest in them
    several = program.run("inspect", records[0], events).stdout
    assert "TFRecord" in several and "event file" in several


@pytest.mark.parametrize("kind", ["clicks", "dense", "sparse"])
def test_synth_is_a_function_of_its_flags(tmp_path, kind):
    """Same bytes for any number of threads; two ranges of one truth are what one run would write."""

    def make(name, rows, **flags):
        done = program.run("synth", kind=kind, output=tmp_path / name / "x", rows=rows, seed=3,
                           scale=0.001, **flags)
        assert re.search(r"best possible auc: 0\.\d+, log_loss: 0\.\d+", done.stdout)
        return b"".join(p.read_bytes() for p in sorted((tmp_path / name).iterdir()))

    whole = make("whole", 1000, threads=1)
    assert make("threads", 1000, threads=4) == whole
    assert make("files", 1000, files=3) == whole
    assert make("first", 600) + make("second", 400, first_row=600) == whole
