"""PERSE (CVPR 2025, arXiv 2412.21206): a personalised 3D Gaussian head avatar from one portrait.

The package is the method and nothing else: it knows no Ray, no MLflow and no HTTP. Read it along the paper's
Figure 2::

    portrait ─► tracking ─► synthesis (prompts ─► editing ─► screen ─► animator) ─► clips
    clips ─► avatar + losses ─► training ─► morphing ─► training ─► evaluation ─► export | report
"""

from pathlib import Path

from perse.private_folders import keep_kernels_somewhere

__version__ = "0.1.0"

keep_kernels_somewhere(Path(__file__).parent)
