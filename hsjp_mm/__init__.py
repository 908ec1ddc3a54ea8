"""Self-supervised pretraining of pose backbones, HigherHRNet and PBN for MMPose 1.x."""

from hsjp_mm.environment.requirements import check_versions
from hsjp_mm.utils.after_import import after_import
from hsjp_mm.utils.moved import find_moved_modules
from hsjp_mm.version import __version__


def _with_mmengine() -> None:
    """Refuse versions that do not fit together, and let ``hsjp_mm::`` bases be found."""
    check_versions()

    from mmengine.config.utils import MODULE2PACKAGE

    # `_base_ = ['hsjp_mm::…']` is resolved through this table, which knows OpenMMLab's packages
    # only. A module's name rather than the distribution's: MMEngine then asks the import system
    # for the folder, and finds it in editable installs too.
    MODULE2PACKAGE.setdefault('hsjp_mm', 'hsjp_mm.version')
    after_import('torch', _with_torch)


def _with_torch() -> None:
    """Let MMEngine's checkpoints be read by torch >= 2.6."""
    from hsjp_mm.utils.mmengine_globals import allow_mmengine_checkpoints

    allow_mmengine_checkpoints()


# Only then, for nothing before needs either of them, and `hsjp-mm doctor` must run without.
find_moved_modules()
after_import('mmengine', _with_mmengine)

__all__ = ['__version__']
