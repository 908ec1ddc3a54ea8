"""Whether a backbone is any good yet: probes that train little or nothing."""

from hsjp_mm.probing.classification import probe
from hsjp_mm.probing.pose import PoseProbe

__all__ = ['PoseProbe', 'probe']
