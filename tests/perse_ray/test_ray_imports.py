"""What a worker process loads before it can begin: a second of a quiet machine's time for nothing, in each of them."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import perse_ray.build.build, perse_ray.training.loops
print(*sorted({"ray.serve", "fastapi", "uvicorn", "mlflow", "diffusers", "transformers"} & set(sys.modules)))
"""


def test_a_training_worker_and_a_driver_load_no_server_and_no_generator() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
