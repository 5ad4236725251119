"""What the jobs of the stories train."""

import json
import pathlib

EXAMPLES = 12_000
MODEL = {"model": "wide_and_deep",
         "features": [{"name": "I{1..13}", "type": "float", "log1p": True}, {"name": "C{1..26}", "type": "id"}],
         "deep": {"hidden": [16, 8]}, "wide": {"optimizer": "ftrl"}, "embedding": {"dim": 4}, "optimizer": "adam"}


class ClickTraining:
    """Clicks for sync training: what it makes does not depend on what happens on the way."""

    def __init__(self, files):
        self.files = files

    def put_into(self, folder):
        for file in pathlib.Path(self.files).parent.glob(pathlib.Path(self.files).name):
            (folder / file.name).hardlink_to(file)
        (folder / "model.yaml").write_text(json.dumps(MODEL))

    def flags(self, root, epochs):
        name = pathlib.Path(self.files).name
        return {"model_file": f"{root}/model.yaml", "train_files": f"{root}/{name}", "train_batch_size": 50,
                "epoch_number": epochs, "seed": 5, "sync": "true", "slices": 4,
                "checkpoint_path": f"{root}/checkpoint", "checkpoint_secs": 2, "steps_to_validate": 100}

    def command(self, epochs, **more):
        flags = self.flags("/data", epochs) | {"output_path": "/data/events", "model_path": "/data/export",
                                               "threads": 1} | more
        return ["capstan", "train", *[f"--{name}={value}" for name, value in flags.items()]]

    def write(self, job, epochs=2, flags=None, **keys):
        self.put_into(job.folder)
        return job.write(self.command(epochs, **(flags or {})), **keys)
