"""Train a config: MMPose's own tools/train.py, with hsjp_mm imported.

Takes MMPose's arguments: CONFIG [--work-dir DIR] [--resume [FILE]] [--amp] [--auto-scale-lr]
[--no-validate] [--cfg-options KEY=VALUE ...] [--launcher none|pytorch|slurm|mpi]
"""

from hsjp_mm.engine.launch import run_stock_tool

if __name__ == '__main__':
    run_stock_tool('train.py')
