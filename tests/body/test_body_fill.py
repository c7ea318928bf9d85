"""Colours of what the photograph does not show: stripes stay stripes on the back, hair falls in locks."""

from __future__ import annotations

import numpy as np
import torch

from perse.body.fitting.fill import fill_colors
from perse.body.fitting.hair_detail import lock_brightness
from perse.body.model.covers import Cover
from perse.synthesis.procedural.animator.by_example import Example, read_example


def cylinder(n: int, radius: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    angle = 2 * torch.pi * torch.rand(n, generator=generator)
    height = 0.4 * torch.rand(n, generator=generator)
    return torch.stack([radius * torch.sin(angle), height, radius * torch.cos(angle)], 1)


def test_the_back_of_a_striped_garment_has_stripes_and_no_blur() -> None:
    rest = cylinder(20000, 0.15)
    stripe = torch.remainder(rest[:, 1], 0.1) < 0.05
    colors = torch.where(stripe[:, None], torch.tensor([0.9, 0.9, 0.8]), torch.tensor([0.1, 0.4, 0.4]))
    seen = (rest[:, 2] > 0.05).float()
    filled = fill_colors(rest, torch.full((len(rest),), int(Cover.UPPER)), colors, seen)
    behind = rest[:, 2] < -0.05
    border = torch.remainder(rest[:, 1] + 0.01, 0.05) < 0.02  # a centimetre to either side
    assert float((filled - colors).abs()[behind & ~border].max()) < 0.05
    assert float((filled - colors).abs()[behind].mean()) < 0.05


def test_a_collar_that_is_half_skin_does_not_colour_its_back() -> None:
    """The garment ends at 30 cm; what lies up to 10 mm below shows half of the neck's colour."""
    rest = cylinder(20000, 0.08)
    cloth, mixed = rest[:, 1] < 0.3, (rest[:, 1] > 0.29) & (rest[:, 1] < 0.3)
    green, skin = torch.tensor([0.1, 0.4, 0.4]), torch.tensor([0.8, 0.6, 0.5])
    colors = torch.where(cloth[:, None], green, skin)
    colors[mixed] = (green + skin) / 2
    covers = torch.where(cloth, int(Cover.UPPER), int(Cover.SKIN))
    filled = fill_colors(rest, covers, colors, (rest[:, 2] > 0.02).float())
    back = cloth & (rest[:, 2] < -0.02)
    torch.testing.assert_close(filled[back], green.expand(int(back.sum()), 3))


def test_a_bare_belly_is_not_on_the_back_of_the_shorts_and_skin_coloured_cloth_is() -> None:
    """The border of the shorts is 3 cm too high, so their front shows skin there."""
    rest = cylinder(20000, 0.15)
    shorts, skin, blue = rest[:, 1] < 0.25, torch.tensor([0.8, 0.6, 0.5]), torch.tensor([0.1, 0.2, 0.6])
    covers, seen = torch.where(shorts, int(Cover.LOWER), int(Cover.SKIN)), (rest[:, 2] > 0.05).float()
    bare = rest[:, 1] > 0.22
    noise = 0.01 * torch.randn(rest.shape, generator=torch.Generator().manual_seed(1))
    colors = (torch.where(bare[:, None], skin, blue) + noise).clamp(0, 1)
    back = shorts & (rest[:, 2] < -0.05)
    wrong = (fill_colors(rest, covers, colors, seen)[back] - blue).abs().amax(1) > 0.05
    # A few of the belly's points differ from the middle skin by more than 2.5 deviations, and are taken for cloth.
    assert float(wrong.float().mean()) < 0.07  # a seventh before
    beige = (skin + noise).clamp(0, 1)
    assert float((fill_colors(rest, covers, beige, seen)[back] - skin).abs().max()) < 0.05


def test_plain_skin_begins_in_the_light_in_which_the_photograph_ends() -> None:
    """A shoulder lit from one side; its plain colour began with an edge there."""
    rest = cylinder(20000, 0.15)
    skin = torch.tensor([0.8, 0.6, 0.5])
    colors = (skin * (0.85 + 2 * rest[:, :1])).clamp(0, 1)  # .55 at the shaded side, 1.15 at the lit one
    filled = fill_colors(rest, torch.full((len(rest),), int(Cover.SKIN)), colors, (rest[:, 2] > 0).float())
    lit = rest[:, 0] > 0.12
    beside, behind = lit & (rest[:, 2] < 0) & (rest[:, 2] > -0.01), (rest[:, 2] < -0.14)
    photographed = colors[lit & (rest[:, 2] > 0) & (rest[:, 2] < 0.01)].mean(0)
    # 7 cm away the light is to have faded to e^-1/2: within a centimetre it changes by a fiftieth.
    torch.testing.assert_close(filled[beside].mean(0), photographed, atol=0.03, rtol=0)
    # Behind, 20 cm away along x and z, the plain colour is left, to the 2 % of light that go on so far.
    assert float((filled[behind].mean(0) / filled[behind].mean() - skin / skin.mean()).abs().max()) < 0.02


def photographed_hair() -> Example:
    """Strands two pixels wide that run down, of a contrast that is known."""
    rng = np.random.default_rng(1)
    strands = np.repeat(rng.uniform(0.7, 1.3, 128), 2)[None, :, None]
    rgb = (np.array([128.0, 102.0, 76.0]) * strands * np.ones((256, 1, 1))).astype(np.float32)
    example = read_example(rgb, np.ones((256, 256), np.float32))
    assert example is not None
    return example


def test_hair_behind_has_locks_of_the_photographs_contrast_and_no_beat() -> None:
    rest = cylinder(20000, 0.09)
    colors = torch.tensor([0.5, 0.4, 0.3]).expand(len(rest), 3)
    filled = fill_colors(
        rest, torch.full((len(rest),), int(Cover.HAIR)), colors, (rest[:, 2] > 0).float(), photographed_hair()
    )
    back = filled[rest[:, 2] < -0.02].mean(1)
    # The example's brightness deviates by .17; what is finer than the points has been averaged away.
    assert 0.03 < float(back.std() / back.mean()) < 0.2
    plain = fill_colors(rest, torch.full((len(rest),), int(Cover.HAIR)), colors, (rest[:, 2] > 0).float())
    assert float(plain.std(0).max()) < 1e-4  # hair of which there is no example has one colour


def test_locks_run_down_and_none_repeats() -> None:
    around, height = torch.linspace(-3, 3, 480), torch.linspace(-0.05, 0.05, 40)
    grid = torch.stack(torch.meshgrid(around, height, indexing="ij"), -1)
    places = torch.stack([0.09 * torch.sin(grid[..., 0]), grid[..., 1], 0.09 * torch.cos(grid[..., 0])], -1)
    bright = lock_brightness(places.reshape(-1, 3), photographed_hair()).reshape(480, 40)
    across = (bright[1:] - bright[:-1]).abs().mean() / (0.09 * 6 / 479)  # per metre
    down = (bright[:, 1:] - bright[:, :-1]).abs().mean() / (0.1 / 39)
    assert float(across) > 2 * float(down)
    # Sums of a few waves came back after a centimetre or two: corduroy. By chance forty locks around a head agree
    # by less than .4.
    row = bright[:, 20] - bright[:, 20].mean()
    again = [float((row[lag:] * row[:-lag]).mean() / row.square().mean()) for lag in range(30, 240)]
    assert max(again) < 0.5
