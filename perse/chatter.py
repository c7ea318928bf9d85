"""Filters for standard error: lines and warnings of libraries that mean nothing to anybody are dropped.

No setting of these libraries turns them off (tried: TF_CPP_MIN_LOG_LEVEL, GLOG_minloglevel, ABSL_MIN_LOG_LEVEL, with
mediapipe 0.10.14). Only lines that are known by their words go; everything else comes through as it is written.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_LOCK = threading.RLock()


def ignore_libraries_warnings() -> None:
    """Ignore, in this process from now on, warnings of Python libraries about their own affairs."""
    # torch says this of its own forward-mode derivatives, which the tracker uses.
    warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)
    # What Pillow thinks of damaged metadata: it is not used, and what cannot be read at all is our own error.
    warnings.filterwarnings("ignore", category=UserWarning, module="PIL")


@contextmanager
def without(known: Sequence[str]) -> Iterator[None]:
    """Context in which lines that contain one of some phrases are dropped from this process's standard error.

    Keep the block short: what native code writes while it crashes may be lost in it. Processes that are started in the
    block write to where this one wrote only while the block lasts, so start none that stay.
    """
    with _LOCK:
        sys.stderr.flush()
        try:
            outside = os.dup(2)
        except OSError:  # no standard error, nothing to keep quiet
            yield
            return
        source, sink = os.pipe()
        forward = threading.Thread(target=_forward, args=(source, outside, tuple(known)), daemon=True)
        forward.start()
        os.dup2(sink, 2)
        os.close(sink)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(outside, 2)  # the last writing end closes, and the thread comes to its end
            forward.join(timeout=5)
            os.close(outside)


def _forward(source: int, target: int, known: tuple[str, ...]) -> None:
    with open(source, "rb") as lines:
        for line in lines:
            if not any(phrase.encode() in line for phrase in known):
                os.write(target, line)
