"""`perse ablate` as a file, for ``ray job submit`` and for a checkout without an installation."""

import sys

from perse_ray.commands.ablate import run

if __name__ == "__main__":
    sys.exit(run())
