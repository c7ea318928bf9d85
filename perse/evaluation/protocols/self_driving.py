"""Self-driving (P Table 6): the avatar performs what the person does in a video, and is compared with the video."""

from __future__ import annotations

from perse.avatar import Avatar
from perse.data import PortraitClip
from perse.evaluation.measurements import spread
from perse.evaluation.protocols.instruments import Instruments
from perse.evaluation.protocols.measure import ProtocolMeasurer, UnseenScores
from perse.render import Rasterizer
from perse.shapes import Frames


def self_driving(
    avatar: Avatar, unseen: PortraitClip, rasterizer: Rasterizer, instruments: Instruments, frames: int
) -> list[UnseenScores]:
    """Scores of each frame, in their order.

    Args:
        unseen: recorded frames that nobody was trained on, with the head's parameters and the avatar's camera.
        frames: at most, spread evenly.
    """
    chosen = spread(len(unseen), frames)
    return [
        ProtocolMeasurer(
            avatar=avatar, clips=[unseen.frame(frame)], rasterizer=rasterizer, instruments=instruments, frames=1
        ).unseen(0)
        for frame in chosen
    ]


def driven(avatar: Avatar, unseen: PortraitClip, rasterizer: Rasterizer, frames: list[int]) -> Frames:
    """Pictures [f, h, w, 3] of the avatar in some of the recorded frames' poses."""
    measurer = ProtocolMeasurer(
        avatar=avatar, clips=[unseen], rasterizer=rasterizer, instruments=Instruments(None, {}, {}), frames=len(unseen)
    )
    return measurer.pictures(0, frames)
