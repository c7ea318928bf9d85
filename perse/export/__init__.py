"""Files that other programs read: splats, scenes, pages, pictures and videos, with their provenance.

::

    avatar, "hat=red beanie" ─ edits.py ─► code z ─┐
    pose or motion ────────────────────────────────┴─ scene.py: freeze ─► SplatScene ─ formats.py ─► ply, splat, glb,
                                                   └─ shots.py: film ─► frames ─ video.py ─► png, webp, mp4   usd, html
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
    format_of,
)
from perse.export.poses import BUILT_IN, motion_of, posed
from perse.export.provenance import Edit, Provenance
from perse.export.scene import SplatScene, freeze
from perse.export.shots import Shot, at_rest, film, interpolation, reenactment, turntable
from perse.export.splat_readers import read_splats
from perse.export.verification import Verification, verify_file
from perse.export.video import mp4_bytes, strip, webp_bytes
from perse.export.views import orbit, orbit_centre, portrait_camera
from perse.export.watermark import marked

__all__ = [
    "ANIMATED",
    "BUILT_IN",
    "FORMATS",
    "MEDIA_TYPES",
    "SUFFIXES",
    "Edit",
    "ExportFormat",
    "Mix",
    "Provenance",
    "Shot",
    "SigningIdentity",
    "SplatScene",
    "Verification",
    "at_rest",
    "export_bytes",
    "export_file",
    "film",
    "find_subject",
    "format_of",
    "freeze",
    "interpolation",
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
    "sign_media",
    "strip",
    "turntable",
    "verify_file",
    "webp_bytes",
]
