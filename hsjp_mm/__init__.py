"""Self-supervised pretraining of pose backbones, HigherHRNet and PBN for MMPose 1.x."""

from hsjp_mm.environment.requirements import check_versions
from hsjp_mm.version import __version__

check_versions()

from mmengine.config.utils import MODULE2PACKAGE

from hsjp_mm.checkpoint import allow_mmengine_checkpoints
from hsjp_mm.utils.moved import find_moved_modules

# `_base_ = ['hsjp_mm::…']` is resolved through this table, which knows OpenMMLab's packages only.
# A module's name rather than the distribution's: MMEngine then asks the import system for the
# folder, and finds it in editable installs too.
MODULE2PACKAGE.setdefault('hsjp_mm', 'hsjp_mm.version')
allow_mmengine_checkpoints()
find_moved_modules()

__all__ = ['__version__']
