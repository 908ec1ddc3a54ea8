"""``python -m hsjp_mm COMMAND``, the same as ``hsjp-mm COMMAND``."""

import sys

from hsjp_mm.cli import main

if __name__ == '__main__':
    sys.exit(main())
