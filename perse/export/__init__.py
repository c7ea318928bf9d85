"""Files that other programs read: splats, scenes, pages, pictures and videos, with their provenance.

::

    avatar, "hat=red beanie" ─ edits.py ─► code z ─┐
    pose or motion ────────────────────────────────┼─ scene.py: freeze ─► SplatScene ─ formats.py ─► ply, spz, sog, glb,
                                                   │                                                 usd, html, …
                                                   └─ shots.py: film ─► frames ─ video.py ─► png, webp, mp4
    provenance.py: the record in each of them; c2pa_manifest.py signs pictures and videos; verification.py reads it back
"""

from perse.export.c2pa_manifest import sign_media
from perse.export.certificate import SigningIdentity, local_identity, make_identity
from perse.export.edits import Mix, find_subject, mixed_code, parse_mix
from perse.export.formats import (
    ANIMATED,
    FORMATS,
    MEDIA_TYPES,
    SUFFIXES,
    ExportFormat,
    export_bytes,
    export_file,
    export_sequence,
    format_of,
)
from perse.export.poses import BUILT_IN, motion_of, posed
from perse.export.provenance import Edit, Provenance
from perse.export.scene import SplatScene, freeze
from perse.export.sequence import frame_paths, is_numbered
from perse.export.shots import AvatarView, at_rest, film, interpolation, reenactment, turntable
from perse.export.splat_readers import read_splats
from perse.export.verification import Verification, verify_file
from perse.export.video import mp4_bytes, strip, webp_bytes
from perse.export.views import good_reach_deg, is_closed, orbit, orbit_centre, portrait_camera, seen_reach_deg
from perse.export.visibility import VisibleScene, without_unseen
from perse.export.watermark import marked

__all__ = [
    "ANIMATED",
    "BUILT_IN",
    "FORMATS",
    "MEDIA_TYPES",
    "SUFFIXES",
    "AvatarView",
    "Edit",
    "ExportFormat",
    "Mix",
    "Provenance",
    "SigningIdentity",
    "SplatScene",
    "Verification",
    "VisibleScene",
    "at_rest",
    "export_bytes",
    "export_file",
    "export_sequence",
    "film",
    "find_subject",
    "format_of",
    "frame_paths",
    "freeze",
    "good_reach_deg",
    "interpolation",
    "is_closed",
    "is_numbered",
    "local_identity",
    "make_identity",
    "marked",
    "mixed_code",
    "motion_of",
    "mp4_bytes",
    "orbit",
    "orbit_centre",
    "parse_mix",
    "portrait_camera",
    "posed",
    "read_splats",
    "reenactment",
    "seen_reach_deg",
    "sign_media",
    "strip",
    "turntable",
    "verify_file",
    "webp_bytes",
    "without_unseen",
]
