"""The runs of a comparison before they are run, each with all that decides on its result."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from hsjp_mm.comparison.fine_tuning_config import differences
from hsjp_mm.comparison.pretrainings import Pretraining, pretraining_result, read_pretraining
from hsjp_mm.comparison.runs import FineTuning, percent, read_run, to_result


@dataclass(frozen=True)
class Init:
    """An initialisation of the backbone.

    Attributes:
        name: For folders and legends.
        checkpoint: Path or http(s) address; None for random weights.
        sha256: Of the file.
        coverage: The line of how much of it fits.
    """

    name: str
    checkpoint: str | None
    sha256: str | None = None
    coverage: str = 'backbone: random weights'


@dataclass(frozen=True)
class PlannedRun:
    """A training to run.

    Attributes:
        folder: Its work folder.
        config: Complete.
        recipe: Plain values, all that decides on the result.
        iterations: In all.
        processes: Of torchrun.
        metric: Key of the measure by which it is followed; '' for none.
    """

    folder: Path
    config: Config
    recipe: dict[str, Any]
    iterations: int
    processes: int
    metric: str

    @property
    def title(self) -> str:
        """For the screen."""
        raise NotImplementedError

    def read(self) -> Any:
        """Read what the run left.

        Raises:
            OSError, ValueError: It is not finished, or not what was planned.
        """
        raise NotImplementedError

    def hashes(self) -> dict[str, str]:
        """SHA-256 of what it starts from and is trained on."""
        raise NotImplementedError

    def result(self, found: Any) -> dict[str, Any]:
        """What result.json holds of what was read."""
        raise NotImplementedError


@dataclass(frozen=True)
class PlannedFineTuning(PlannedRun):
    """A fine-tuning to run.

    Attributes:
        init: From where.
        fraction: Of the labels.
        seed: Of the run, and of the choice of labels.
        rule: What is better of the metric, 'greater' or 'less'.
    """

    init: Init
    fraction: float
    seed: int
    rule: str

    @property
    def title(self) -> str:
        """For the screen."""
        return f'{self.init.name}, {percent(self.fraction)} of the labels, seed {self.seed}'

    def read(self) -> FineTuning:
        """Read what the run left.

        Raises:
            OSError, ValueError: It is not finished, or not what was planned.
        """
        found = read_run(self.folder, self.init.name, self.metric, self.rule)
        if self.init.sha256 and f'sha256 {self.init.sha256[:8]}' not in found.coverage:
            raise ValueError(f'the log does not show that {self.init.checkpoint} was loaded')
        _require_planned(self.recipe['protocol'], found.protocol)
        _require_planned({'budget': self.recipe.get('budget', 1)}, {'budget': found.budget})
        return found

    def hashes(self) -> dict[str, str]:
        """SHA-256 of what it starts from and is trained on."""
        start = {'initialisation': self.init.sha256} if self.init.sha256 else {}
        return {**start, **self.recipe['data']}

    def result(self, found: FineTuning) -> dict[str, Any]:
        """What result.json holds."""
        return to_result(found, self.recipe)


@dataclass(frozen=True)
class PlannedPretraining(PlannedRun):
    """A pretraining to run.

    Attributes:
        name: Of the initialisation that comes of it.
    """

    name: str

    @property
    def title(self) -> str:
        """For the screen."""
        return f'{self.name}, pretraining'

    def read(self) -> Pretraining:
        """Read what the run left.

        Raises:
            OSError, ValueError: It is not finished, or not what was planned.
        """
        found = read_pretraining(self.folder, self.name)
        _require_planned(self.recipe['settings'], found.settings)
        return found

    def hashes(self) -> dict[str, str]:
        """SHA-256 of what it is trained on."""
        return dict(self.recipe['data'])

    def result(self, found: Pretraining) -> dict[str, Any]:
        """What result.json holds."""
        return pretraining_result(found, self.recipe)


def _require_planned(planned: dict, logged: dict) -> None:
    if changed := list(differences(planned, logged)):
        raise ValueError(f'the run logged another config than planned: {"; ".join(changed[:8])}')
