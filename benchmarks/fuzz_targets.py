"""What strangers' bytes reach: every parser with inputs that it likes, and the errors that it may answer with."""

from __future__ import annotations

import io
import json
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse
from PIL import Image

from perse.errors import PerseError
from perse.head.flame_pickle import NEEDED

FIVE_JOINTS = np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32)


@dataclass(frozen=True)
class Target:
    """A parser.

    Attributes:
        parse: reads bytes; anything that it raises but `expected` is a crash.
        seeds: good inputs.
        words: pieces that mean something to it.
    """

    parse: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    words: tuple[bytes, ...] = ()
    expected: tuple[type[Exception], ...] = (PerseError,)


def through_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """A parser that takes a path, fed with bytes. Its folder goes with it, at the latest when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="perse-fuzz-")

    def parse(data: bytes) -> object:
        file = Path(folder.name, name)
        file.write_bytes(data)
        return read(file)

    return parse


# Head models


def head_arrays() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    v, t = 6, 4
    return {
        "v_template": generator.normal(size=(v, 3)),
        "f": generator.integers(0, v, (t, 3)).astype(np.uint32),
        "shapedirs": generator.normal(size=(v, 3, 12)),
        "posedirs": generator.normal(size=(v, 3, 36)),
        "J_regressor": generator.uniform(size=(5, v)),
        "kintree_table": FIVE_JOINTS,
        "weights": generator.uniform(0.1, 1, (v, 5)),
    }


def flame_pickles() -> list[bytes]:
    arrays = head_arrays()
    small = {name: np.ones((2, 2)) for name in NEEDED}
    sparse = {layout: scipy.sparse.coo_matrix(arrays["J_regressor"]).asformat(layout) for layout in ("csc", "coo")}
    whole = [pickle.dumps(arrays | {"J_regressor": sparse["csc"]}, protocol) for protocol in (0, 2)]
    return whole + [pickle.dumps(small | {"f": sparse["coo"]}, protocol) for protocol in (2, 4, 5)]


def flame_pickle(data: bytes) -> object:
    from perse.head.flame_pickle import arrays_of_flame_pickle

    return arrays_of_flame_pickle(data)


def flame_files() -> list[bytes]:
    from safetensors.numpy import save

    packed = io.BytesIO()
    np.savez_compressed(packed, **head_arrays())  # type: ignore[arg-type]
    return [packed.getvalue(), save(head_arrays())]


def flame_file(path: Path) -> object:
    from perse.head.flame import load_flame

    return load_flame(path)


def checkpoints() -> list[bytes]:
    import torch

    found = []
    for content in ({"a": torch.ones(2)}, {"state_dict": {"a": torch.ones(3, 2).T, "b": torch.ones(1).half()}}):
        for modern in (True, False):
            buffer = io.BytesIO()
            torch.save(content, buffer, _use_new_zipfile_serialization=modern)
            found.append(buffer.getvalue())
    return found


def checkpoint(path: Path) -> object:
    from perse.data.tensor_files import tensors_of_pickle

    return tensors_of_pickle(path)


# Motions, pictures, prompts


def motions() -> list[bytes]:
    packed, plain = io.BytesIO(), io.BytesIO()
    arrays = {"fps": np.float64(25), "expression:a": np.zeros(5), "joint:neck": np.zeros((5, 3), np.float32)}
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    np.savez(plain, **arrays)  # type: ignore[arg-type]
    value = {"format": "perse-motion", "version": 1, "fps": 25, "expressions": {"a": [0, 0.5]},
             "joints": {"neck": [[0, 0.1, 0], [0, 0, 0]]}}  # fmt: skip
    return [packed.getvalue(), plain.getvalue(), json.dumps(value).encode()]


def motion(data: bytes) -> object:
    from perse.data.motion_file import parse_motion

    return parse_motion(data)


def pictures() -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 255, (9, 12, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "someone", 72.0
    exif.get_ifd(0x8769)[0x9003] = "2026:01:01 00:00:00"
    found = []
    for mode in ("RGB", "L", "P", "RGBA", "CMYK", "I;16"):
        for kind in ("PNG", "JPEG", "WEBP"):
            buffer = io.BytesIO()
            try:
                Image.fromarray(pixels).convert(mode).save(buffer, kind, exif=exif)
            except (OSError, ValueError):  # a format that lacks the mode
                continue
            found.append(buffer.getvalue())
    return found


def picture(data: bytes) -> object:
    from perse.data.images import read_portrait_bytes

    return read_portrait_bytes(data)


def prompt_tables() -> list[bytes]:
    return [
        b"category,text,seed\nhat,a red beanie,7\nbeard,,\n",
        "\ufeffcategory,color,text\nhat,red,\"a, b\"\n\nhair,,'x'\n".encode(),
    ]


def prompt_table(path: Path) -> object:
    from perse.synthesis.prompts import read_prompts_csv

    return read_prompts_csv(path)


# Requests, provenance


def requests() -> list[bytes]:
    look = {"attributes": {"hat": {"a": 1}, "hair": {"text": "red", "weight": 0.5}}, "pose": {"neck": [0, 0.1, 0]}}
    between = {"motion": {"kind": "between", "end": look, "seconds": 1}, "format": "webp"}
    uploaded = {"motion": {"kind": "uploaded", "expressions": {"smile": [0, 1]}, "joints": {"jaw": [[0, 0, 0]] * 2}}}
    values = [look | {"expression": {"smile": 0.5}, "background": None}, between, uploaded, {"frames": [look, {}]}]
    return [json.dumps(value).encode() for value in values]


def request(data: bytes) -> object:
    from perse_ray.serving.schema.json_shape import checked_json
    from perse_ray.serving.schema.media_requests import AnimateRequest, FramesRequest
    from perse_ray.serving.schema.requests import RenderRequest

    value = checked_json(data)
    keys = set(value) if isinstance(value, dict) else set()
    kind = AnimateRequest if "motion" in keys else FramesRequest if "frames" in keys else RenderRequest
    return kind.model_validate(value)


def signed_pictures() -> list[bytes]:
    from perse.data.images import encode_image
    from perse.export import Edit, Provenance
    from perse.export.xmp import xmp_packet

    record = xmp_packet(Provenance("x", (Edit("hat", "hat-a", "a red beanie", 1.0),)))
    pixels = np.zeros((4, 4, 3), np.uint8)
    return [encode_image(pixels, format, xmp=record) for format in ("png", "jpeg", "webp")]  # type: ignore[arg-type]


def signed_picture(path: Path) -> object:
    from perse.export import verify_file

    return verify_file(path)


# Files that people send back


def consents() -> list[bytes]:
    return [json.dumps({"who": "A", "purpose": "films", "date": "2026-01-01", "expires": "2027-01-01"}).encode()]


def consent(data: bytes) -> object:
    from perse.data.consent import consent_of

    return str(consent_of(data))


def vote_files() -> list[bytes]:
    votes = [{"question": "q", "item": "1", "chosen": "ours"}, {"question": "q", "item": "2", "chosen": "theirs"}]
    return [json.dumps({"format": "perse-votes", "study": "s", "voter": "v", "votes": votes}).encode()]


def votes(path: Path) -> object:
    from perse.report.study import tally

    return tally([path])


_NUMBERS = tuple(number.to_bytes(size, "little") for size in (2, 4, 8) for number in (0, 1, 2**15, 2 ** (8 * size) - 1))
_JSON = (b"1e308", b"-1e999", b"NaN", b"9" * 400, b"[" * 50, b'"\\ud800"', b"null", b'{"a":', b"\\u0000")
_PICKLE = (
    b"R.",
    b"b.",
    b"cnumpy\nndarray\n",
    b"\x93",
    b"\x81",
    b"h\x00",
    b"(",
    b"t",
    b"u.",
    b"\x8a\xff",
    b"X\xff\xff\xff",
)

TARGETS: dict[str, Target] = {
    "FLAME pickle": Target(flame_pickle, flame_pickles, _PICKLE + _NUMBERS),
    "FLAME npz": Target(through_file("head.npz", flame_file), flame_files, _NUMBERS),
    "FLAME safetensors": Target(through_file("head.safetensors", flame_file), flame_files, _NUMBERS + _JSON),
    "checkpoint": Target(through_file("weights.pt", checkpoint), checkpoints, _PICKLE + _NUMBERS),
    "motion": Target(motion, motions, _NUMBERS + _JSON + (b"'descr': '|O'", b"(0, 99999999999)")),
    "portrait": Target(picture, pictures, (*_NUMBERS, b"Exif\0\0II*\0", b"eXIf", b"\xff\xe1", b"\xff\xc4")),
    "prompts": Target(through_file("prompts.csv", prompt_table), prompt_tables, (b'"', b"\0", b"9" * 30, b"\xed\xa0")),
    "request": Target(request, requests, _JSON, (PerseError, ValueError)),
    "provenance": Target(through_file("a.png", signed_picture), signed_pictures, (b"perse:record=\"", b"&#0;", b"{}")),
    "consent": Target(consent, consents, _JSON),
    "votes": Target(through_file("votes.json", votes), vote_files, _JSON),
}  # fmt: skip
