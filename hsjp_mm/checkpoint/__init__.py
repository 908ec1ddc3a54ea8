"""Checkpoints: read them safely, load a backbone or stop, export it."""

from hsjp_mm.checkpoint.coverage import CheckpointError, Coverage
from hsjp_mm.checkpoint.export import export_backbone
from hsjp_mm.checkpoint.loading import PretextInit, audit, load_backbone, load_model
from hsjp_mm.checkpoint.reading import read_checkpoint
from hsjp_mm.utils.mmengine_globals import allow_mmengine_checkpoints

__all__ = [
    'CheckpointError',
    'Coverage',
    'PretextInit',
    'allow_mmengine_checkpoints',
    'audit',
    'export_backbone',
    'load_backbone',
    'load_model',
    'read_checkpoint',
]
