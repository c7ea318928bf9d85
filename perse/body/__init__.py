"""The whole body from one picture (PERSONA, Sim and Moon, ICCV 2025, arXiv 2508.09973).

::

    photograph ─fitting─► shape, pose, camera, covers ─animation─► pose-rich frames ─avatar, training─► Gaussians

`model` is the parametric body, `fitting` finds it in a photograph, `animation` films it along committed motions,
`avatar` is what is trained, `training` trains it and `showing` draws what came out.
"""
