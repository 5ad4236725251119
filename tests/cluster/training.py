"""What a cluster trains, and the run of one machine that it is compared with."""

import program


class Training:
    """Its flags, what one machine makes of it, and data to validate on."""

    def __init__(self, folder, validation, **flags):
        self.folder = folder
        self.validation = validation
        self.flags = flags

    def one_machine(self):
        """Folder of checkpoints of the undisturbed run of one machine."""
        place = self.folder / "one_machine"
        if not place.exists():
            program.train(None, **self.flags | {"checkpoint_path": place, "steps_to_validate": 0})
        return place

    def digest(self):
        return program.digest(self.one_machine())

    def auc(self, checkpoints):
        return program.evaluate(model_path=checkpoints, files=self.validation)["auc"]

    def auc_of_one_machine(self):
        return self.auc(self.one_machine())
