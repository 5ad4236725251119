"""How good the models are: the median of five seeds, none chosen; all five are printed (pytest -s) and
stand in the message of a failure."""

import statistics

import pytest

import program

EXAMPLES = program.ROOT / "examples"
SEEDS = range(5)


def metrics_of_seeds(tmp_path, test_files, **flags):
    """[metrics on `test_files`] of a training run for each seed, printed."""
    found = []
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        folder.mkdir()
        program.train(folder, seed=seed, steps_to_validate=0, quiet=True, output_path="none",
                      **flags)
        found.append(program.evaluate(model_path=folder / "export", files=test_files))
    for name in ["accuracy", "auc", "log_loss", "r2"]:
        if name in found[0]:
            print(f"\n  {name}: " + " ".join(f"{m[name]:.4f}" for m in found), end="")
    return found


def check(found, **floors):
    for name, floor in floors.items():
        values = [metrics[name] for metrics in found]
        assert statistics.median(values) >= floor, f"{name} of five seeds: {values}"


# The data sets of 2016–2018 -----------------------------------------------------------------------


@pytest.mark.parametrize("year", ["2018", "2016"])
def test_cancer(real_data, tmp_path, year):
    """Default flags. The files of 2016 have float labels."""
    folder = real_data / ("data/cancer" if year == "2018" else "2016/data")
    found = metrics_of_seeds(tmp_path, folder / "cancer_test.csv.tfrecords", model="wide_and_deep",
                             train_files=folder / "cancer_train.csv.tfrecords")
    check(found, accuracy=0.96, auc=0.98)


def test_cancer_as_csv(real_data, tmp_path):
    found = metrics_of_seeds(tmp_path, real_data / "data/cancer/cancer_test.csv",
                             train_files=real_data / "data/cancer/cancer_train.csv",
                             model="wide_and_deep")
    check(found, accuracy=0.96, auc=0.98)


@pytest.mark.parametrize("model", ["lr", "wide_and_deep"])
def test_a8a(real_data, tmp_path, model):
    folder = real_data / "data/a8a"
    found = metrics_of_seeds(tmp_path, folder / "a8a_test.libsvm.tfrecords", model=model,
                             train_files=folder / "a8a_train.libsvm.tfrecords")
    check(found, accuracy=0.850, auc=0.905)


def test_a8a_of_2016(real_data, tmp_path):
    folder = real_data / "2016/data"
    found = metrics_of_seeds(tmp_path, folder / "a8a_test.libsvm.tfrecords", model="lr",
                             train_files=folder / "a8a_train.libsvm.tfrecords")
    check(found, accuracy=0.850, auc=0.905)


@pytest.mark.parametrize("form", ["csv", "csv.tfrecords"])
def test_iris(real_data, tmp_path, form):
    folder = real_data / "data/iris"
    found = metrics_of_seeds(tmp_path, folder / f"iris_test.{form}", epoch_number=100,
                             model_file=EXAMPLES / "iris/model.yaml", train_batch_size=16,
                             train_files=folder / f"iris_train.{form}")
    check(found, accuracy=0.93)


def test_boston_housing(real_data, tmp_path):
    """On the training set: there is no other."""
    files = real_data / "data/boston_housing/train.csv.tfrecords"
    found = metrics_of_seeds(tmp_path, files, train_files=files, epoch_number=200,
                             model_file=EXAMPLES / "boston_housing/model.yaml", train_batch_size=32)
    check(found, r2=0.90)


# Sets from a known truth --------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["lr", "wide_and_deep"])
def test_dense(synth, tmp_path, model):
    """What stands in for cancer: as near to the best possible as 500 examples lead."""
    best = synth.best_auc("dense", 2000, first_row=10000)
    found = metrics_of_seeds(tmp_path, synth("dense", 2000, first_row=10000), model=model,
                             train_files=synth("dense", 500))
    check(found, accuracy=0.92, auc=best - 0.015)


@pytest.mark.parametrize("model", ["lr", "wide_and_deep", "fm"])
def test_sparse(synth, tmp_path, model):
    """What stands in for a8a."""
    best = synth.best_auc("sparse", 5000, first_row=100000)
    found = metrics_of_seeds(tmp_path, synth("sparse", 5000, first_row=100000), model=model,
                             train_files=synth("sparse", 20000))
    check(found, auc=best - 0.03)


@pytest.mark.parametrize("name, behind", [("model", 0.05), ("lr", 0.06), ("dlrm", 0.09)])
def test_clicks(synth, tmp_path, name, behind):
    """The model files of examples/clicks on a twentieth of their data."""
    best = synth.best_auc("clicks", 10000, first_row=200000)
    found = metrics_of_seeds(tmp_path, synth("clicks", 10000, first_row=200000),
                             model_file=EXAMPLES / f"clicks/{name}.yaml", train_batch_size=512,
                             train_files=synth("clicks", 50000, files=2))
    check(found, auc=best - behind)
