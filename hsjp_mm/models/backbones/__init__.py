from hsjp_mm.models.backbones.part_branch_hourglass import PartBranchHourglass

__all__ = ['PartBranchHourglass']
