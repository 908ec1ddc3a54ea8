from hsjp_mm.models.heads.mesh.hmr2_head import HMR2Head
from hsjp_mm.models.heads.mesh.hmr_head import HMRHead
from hsjp_mm.models.heads.mesh.mesh_head import MeshHead, MeshPrediction
from hsjp_mm.models.heads.mesh.pare_head import PAREHead

__all__ = ['HMR2Head', 'HMRHead', 'MeshHead', 'MeshPrediction', 'PAREHead']
