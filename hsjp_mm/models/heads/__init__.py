from hsjp_mm.models.heads.hsjp_head import HSJPHead

__all__ = ['HSJPHead']
