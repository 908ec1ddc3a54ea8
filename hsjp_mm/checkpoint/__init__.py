"""Checkpoints: read them safely, load a backbone or stop, export it."""

from hsjp_mm.checkpoint.coverage import CheckpointError, Coverage
from hsjp_mm.checkpoint.loading import (
    PretextInit,
    allow_mmengine_checkpoints,
    audit,
    export_backbone,
    load_backbone,
    read_checkpoint,
)

__all__ = [
    'CheckpointError',
    'Coverage',
    'PretextInit',
    'allow_mmengine_checkpoints',
    'audit',
    'export_backbone',
    'load_backbone',
    'read_checkpoint',
]
