"""The body avatar: Gaussians on the dressed surface, moved by bones and by the pose."""

from perse.avatar.pose_offsets import OffsetConfig
from perse.body.avatar.avatar import BodyAvatar, PosedAvatar
from perse.body.avatar.start import start_avatar
from perse.body.avatar.storage import avatar_from_files, avatar_to_files

__all__ = ["BodyAvatar", "OffsetConfig", "PosedAvatar", "avatar_from_files", "avatar_to_files", "start_avatar"]
