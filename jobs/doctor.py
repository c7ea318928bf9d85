"""`perse doctor` as a file, for ``ray job submit`` and for a checkout without an installation."""

import sys

from perse_ray.commands.doctor_report import run

if __name__ == "__main__":
    sys.exit(run())
