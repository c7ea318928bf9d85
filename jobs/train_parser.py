"""`perse train-parser` as a file, for ``ray job submit`` and for a checkout without an installation."""

import sys

from perse_ray.commands.train_parser import run

if __name__ == "__main__":
    sys.exit(run())
