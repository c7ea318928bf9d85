"""Cloth: what is still does not lag, what moves trails behind, skin never does, and only slopes sag."""

from __future__ import annotations

import math

import torch
from tolerances import SINGLE

from perse.body.animation.animator import Drift, ProceduralBodyAnimatorConfig
from perse.body.animation.clip import BodyClip
from perse.body.animation.cloth import MAX_LAG_M, hung, lagged
from perse.body.animation.dressed import DressedPerson
from perse.body.animation.motions import MOTIONS, UNSEEN, Filmed, performed
from perse.body.model import BodyJoint, pose_body
from perse.body.model.covers import Cover


def test_still_cloth_stays() -> None:
    points = torch.rand(1, 5, 3).expand(12, 5, 3).clone()
    torch.testing.assert_close(lagged(points, torch.ones(5), 1.0), points)


def test_a_loose_point_trails_behind_and_a_taut_one_does_not() -> None:
    phase = torch.arange(24) / 24 * 2 * math.pi
    track = torch.stack([0.3 * torch.sin(phase), torch.zeros(24), torch.zeros(24)], -1)
    points = track[:, None].expand(24, 3, 3).clone()
    out = lagged(points, torch.tensor([0.0, 0.5, 1.0]), 1.0)
    torch.testing.assert_close(out[:, 0], points[:, 0])
    speed = torch.roll(track, -1, 0) - track
    lag = out - points
    behind = (lag * speed[:, None]).sum(-1).mean(0)
    assert behind[1] < 0 and behind[2] < behind[1]  # against the way it goes, the loose one more
    assert lag.norm(dim=-1).max() <= MAX_LAG_M + SINGLE
    assert lag[12, 2].norm() > 1e-3  # a millimetre, which a viewer sees


def test_a_slower_motion_lags_less() -> None:
    phase = torch.arange(24) / 24 * 2 * math.pi
    points = torch.stack([0.1 * torch.sin(phase), 0 * phase, 0 * phase], -1)[:, None]
    lags = [(lagged(points, torch.ones(1), seconds) - points).norm(dim=-1).mean() for seconds in (1.0, 4.0)]
    assert lags[1] < 0.5 * lags[0]


def test_a_motion_filmed_in_few_frames_does_not_run_away() -> None:
    phase = torch.arange(3) / 3 * 2 * math.pi
    points = torch.stack([0.1 * torch.sin(phase), 0 * phase, 0 * phase], -1)[:, None]
    slow = lagged(points, torch.ones(1), 60.0) - points
    taut = lagged(points, torch.full((1,), 0.02), 2.5) - points
    # Metres: a twentieth and a hundredth of the swing of 0.1 m.
    assert slow.norm(dim=-1).max() < 0.005 and taut.norm(dim=-1).max() < 0.001


def test_only_what_faces_floor_or_sky_sags() -> None:
    square = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    lying = square[:, [0, 2, 1]]
    loose, slack = torch.ones(4), torch.full((4,), 0.05)
    torch.testing.assert_close(hung(square[None], faces, loose, slack)[0], square)
    assert (hung(lying[None], faces, loose, slack)[0, :, 1] < -0.02).all()


def test_feet_stay_on_the_floor(dressed: DressedPerson) -> None:
    model, person = dressed.model, dressed.parameters

    def lowest(parameters: object) -> torch.Tensor:
        posed = pose_body(model, parameters)  # type: ignore[arg-type]
        feet = [BodyJoint.LEFT_ANKLE, BodyJoint.RIGHT_ANKLE, BodyJoint.LEFT_FOOT, BodyJoint.RIGHT_FOOT]
        ends = torch.cat([posed.joints[feet], torch.ones(4, 1)], 1)
        return (posed.transforms[..., feet, :, :] @ ends[..., None])[..., 1, 0].amin(-1)

    for name in ("squat", "dance"):
        moved = performed(model, person, name, (0.0, 0.3, 0.6))
        # Metres: float32 through a chain of eight joints.
        torch.testing.assert_close(lowest(moved), lowest(person).expand(3), rtol=0, atol=1e-4)
    assert set(MOTIONS).isdisjoint(UNSEEN)


def test_a_clip_shows_the_person_and_survives_its_file(dressed: DressedPerson) -> None:
    clip = ProceduralBodyAnimatorConfig().build().film(dressed, Filmed("wave", 2), 48)
    again = BodyClip.from_bytes(clip.to_bytes())
    assert (again.image == clip.image).all() and again.camera.width == 48
    inside = clip.alpha[0] > 200
    assert 0.03 < inside.mean() < 0.5
    assert set(clip.parts[0][inside]) == {Cover.SKIN, Cover.UPPER}
    assert (clip.depth[0][inside] > 1).all() and (clip.image[0][clip.alpha[0] == 0] == 255).all()


def test_drift_is_what_was_asked_for(dressed: DressedPerson) -> None:
    plain, tinted = (
        ProceduralBodyAnimatorConfig(drift=drift).build().film(dressed, Filmed("wave", 1), 48)
        for drift in (Drift(), Drift(tint=(0.0, -0.2, 0.0)))
    )
    inside = plain.alpha[0] == 255
    change = tinted.image[0][inside].astype(int) - plain.image[0][inside]
    assert (change[:, [0, 2]] == 0).all() and change[:, 1].mean() < -30
