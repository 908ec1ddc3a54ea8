"""What the tools compute beyond training."""

from hsjp_mm.analysis.probes import probe

__all__ = ['probe']
