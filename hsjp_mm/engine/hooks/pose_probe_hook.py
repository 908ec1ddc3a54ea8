"""Whether a backbone in pretraining becomes any good for pose."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import broadcast_object_list
from mmengine.hooks import Hook

from hsjp_mm.engine.unwrapping import unwrapped
from hsjp_mm.engine.validations import validation_number
from hsjp_mm.probing.pose import ITERATIONS, PERSONS, PoseProbe
from hsjp_mm.registry import HOOKS


@HOOKS.register_module()
class PoseProbeHook(Hook):
    """Probe the backbone for pose with validations, as :class:`~hsjp_mm.probing.PoseProbe` does.

    A validation then also logs, and gives to the visualizer,

    - ``pose_probe/AP``, or whatever the config's measure is, of the linear head,
    - ``pose_probe/OKS``, the mean OKS of that head, which tells networks apart while AP is still 0,
    - ``pose_probe/copied_OKS``, that of keypoints copied from the nearest crops,
    - each with ``_floor`` behind it for random weights of the same network,
    - ``pose_probe/seconds``: on one CPU core 3 for a HRNet of 0.7 M parameters and 700 persons at
      96×128, 30 for HRNet-W32 and 150 persons at 192×256. The first probe takes twice as long, for
      the floor.

    To keep the best epoch by it: ``save_best='pose_probe/copied_OKS', rule='greater'`` of the
    CheckpointHook, with ``interval=1``.

    The weights are copied, through the audited loader, into a backbone of the config's, the only
    one that runs: training, its random numbers and its batch-norm statistics go on as without the
    hook. The main process works and the others wait. It probes what validation has measured, the
    averaged weights if there is an EMAHook.

    Args:
        config: path of the top-down config to fine-tune with, which has labels.
        interval: probe with every so many validations of a training; a resumed one goes on
            counting. Of a run that validates every 10 epochs, 3 is every 30 epochs.
        persons: train the probe on at least so many persons, and find as many; all that there
            are, if there are fewer.
        iterations: steps in which the probe's linear head is trained.
        seed: of the choice of persons, the random weights, the head and its batches.
        cfg_options: changes of the config, as in ``--cfg-options``.

    Raises:
        ValueError: an argument below 1; a run without validation; a config without labels.
        FileNotFoundError: no such config or image.
        CheckpointError: the model's backbone does not fit the config's.

    Examples:
        >>> custom_hooks = [
        ...     dict(
        ...         type='hsjp_mm.PoseProbeHook',
        ...         config='configs/demo/td-hm_hrnet-tiny_scratch-1xb16-400i_toy-128x96.py',
        ...         persons=200,
        ...     )
        ... ]
    """

    # after validation's own figures are noted, before EMAHook takes its weights back
    priority = 'ABOVE_NORMAL'

    def __init__(
        self,
        config: str,
        interval: int = 1,
        persons: int = PERSONS,
        iterations: int = ITERATIONS,
        seed: int = 0,
        cfg_options: dict[str, Any] | None = None,
    ):
        if interval < 1:
            raise ValueError(f'interval={interval} must be at least 1')
        self.config = Config.fromfile(config)
        self.config.merge_from_dict(cfg_options or {})
        self.interval = interval
        self.options = dict(persons=persons, iterations=iterations, seed=seed)
        self.probe: PoseProbe | None = None

    def before_train(self, runner) -> None:
        """Cut the crops, for an error is best met before training."""
        if runner.val_loop is None:
            raise ValueError(
                'PoseProbeHook probes with validations, but the run has none: give it '
                'val_dataloader, val_cfg and val_evaluator'
            )
        self._prepare(runner)

    def after_val_epoch(self, runner, metrics=None) -> None:
        """Probe, and add the figures to validation's."""
        if validation_number(runner) % self.interval:
            return
        self._prepare(runner)
        figures = [self._figures(runner)] if runner.rank == 0 else [{}]
        broadcast_object_list(figures)
        for name, value in figures[0].items():
            runner.message_hub.update_scalar(f'val/{name}', value)
        if metrics is not None:
            metrics.update(figures[0])

    def _prepare(self, runner) -> None:
        if self.probe is None and runner.rank == 0:
            device = next(runner.model.parameters()).device
            self.probe = PoseProbe(self.config, **self.options, device=device)

    def _figures(self, runner) -> dict[str, float]:
        assert self.probe is not None  # for mypy
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder, f'iter_{runner.iter}.pth')
            torch.save({'state_dict': unwrapped(runner.model).state_dict()}, weights)
            found = self.probe.measure(weights)
        figures = {'pose_probe/seconds': found['seconds']}
        for name, value in found['figures'].items():
            figures[f'pose_probe/{name}'] = value
            figures[f'pose_probe/{name}_floor'] = self.probe.floor['figures'][name]
        return figures
