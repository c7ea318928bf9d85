"""What a process loads before it can begin: seconds of a quiet machine in each of them; and in which order."""

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


SAID = """
import sys
import perse_ray.training.morph_pool
from ray._private.worker import print_to_stdstream
for line in sys.argv[1:]:
    print_to_stdstream({"lines": [line], "pid": "raylet", "is_err": False}, ignore_prefix=True)
"""


def test_a_drivers_ray_leaves_out_what_it_says_when_serve_ends_as_it_should() -> None:
    """Ray reads what to leave out when it is imported, so `perse_ray` must come first, whatever is imported of it."""
    rest = "There are infinite retries remaining, so the task will be retried. Error: The actor is dead because"
    expected = [f"Task ServeController.{name} failed. {rest} it was killed by `ray.kill`." for name in (
        "listen_for_change", "graceful_shutdown")]  # fmt: skip
    others = [
        f"Task ServeController.listen_for_change failed. {rest} its node has died.",
        f"Task MapWorker.submit failed. {rest} it was killed by `ray.kill`.",
    ]
    command = [sys.executable, "-c", SAID, *expected, *others]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [line.strip() for line in done.stdout.splitlines()] == others
