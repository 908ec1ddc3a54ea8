"""Test a checkpoint: MMPose's own tools/test.py, with hsjp_mm imported.

Takes MMPose's arguments: CONFIG CHECKPOINT [--work-dir DIR] [--out FILE] [--dump FILE]
[--show-dir DIR] [--cfg-options KEY=VALUE ...] [--launcher none|pytorch|slurm|mpi]
"""

import sys
from functools import partial

from hsjp_mm.cli import report_mistakes

if __name__ == '__main__':
    from hsjp_mm.engine.launch import run_stock_tool

    sys.exit(report_mistakes(partial(run_stock_tool, 'test.py')))
