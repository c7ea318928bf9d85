"""The training step: it learns, it resumes exactly, and workers add up."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from synthetic_avatar import NETWORKS, PART_BASES, synthetic_avatar

from perse.avatar.densification import DensificationConfig
from perse.errors import RecipeError, StageError, TrainingDiverged
from perse.render import CpuRasterizer
from perse.training import (
    ClipStore,
    LearningRates,
    LossConfig,
    Trainer,
    TrainingConfig,
    joined,
    load_checkpoint,
    save_checkpoint,
)
from perse.training.replicas import SingleReplica

CONFIG = TrainingConfig(steps=40, edits_per_step=2, warmup_steps=4)


@pytest.fixture(scope="module")
def store(tiny_clips) -> ClipStore:  # type: ignore[no-untyped-def]
    return ClipStore([clip for clip, _ in tiny_clips])


@pytest.fixture
def make(head_model, tiny_clips, store):  # type: ignore[no-untyped-def]
    def build(config: TrainingConfig = CONFIG, decoder=PART_BASES, **options) -> Trainer:  # type: ignore[no-untyped-def]
        avatar = synthetic_avatar(head_model, tiny_clips, decoder=decoder)
        return Trainer(avatar, store, config, rasterizer=CpuRasterizer(), **options)

    return build


def state(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.avatar.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("decoder", [PART_BASES, NETWORKS], ids=["part_bases", "networks"])
def test_training_lowers_the_loss(make, decoder) -> None:  # type: ignore[no-untyped-def]
    rates = LearningRates(networks=1e-3)
    trainer = make(replace(CONFIG, rates=rates), decoder)
    sample = trainer.sample(0)
    before = float(trainer.gradients(sample).total)
    reports = [trainer.step() for _ in range(25)]
    assert [r.step for r in reports] == list(range(25))
    assert float(trainer.gradients(sample).total) < 0.9 * before


@pytest.mark.parametrize("decoder", [PART_BASES, NETWORKS], ids=["part_bases", "networks"])
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(make, decoder, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """With densification at step 4 for the networks: the point count must survive too."""
    config = CONFIG
    if decoder is NETWORKS:
        config = replace(CONFIG, densification=DensificationConfig(target=2000, every=0.1, grow_factor=1.2))
    straight = make(config, decoder)
    for _ in range(9):
        straight.step()
    killed = make(config, decoder)
    for _ in range(6):
        killed.step()
    save_checkpoint(tmp_path, killed.checkpoint())
    resumed = make(config, decoder)
    found = load_checkpoint(tmp_path)
    assert found is not None
    resumed.resume(found)
    assert resumed.step_number == 6
    for _ in range(3):
        resumed.step()
    assert same(state(straight), state(resumed))
    assert straight.checkpoint().files.keys() == resumed.checkpoint().files.keys()
    for name, content in straight.checkpoint().files.items():
        assert content == resumed.checkpoint().files[name], name


def test_two_runs_are_equal_to_the_bit(make) -> None:  # type: ignore[no-untyped-def]
    runs = []
    for _ in range(2):
        trainer = make()
        for _ in range(3):
            trainer.step()
        runs.append(state(trainer))
    assert same(*runs)


def test_workers_gradients_average_to_one_workers_on_the_joined_batch(make) -> None:  # type: ignore[no-untyped-def]
    # Regularisers are means over a worker's own subjects, and the reference is everybody's.
    trainer = make(CONFIG)
    samples = [replace_rank(trainer, rank).sample(0) for rank in range(2)]
    sums: dict[str, torch.Tensor] = {}
    for sample in samples:
        trainer.gradients(sample)
        for name, p in trainer.avatar.named_parameters():
            if p.grad is not None:
                sums[name] = sums.get(name, torch.zeros_like(p)) + p.grad / 2
    trainer.gradients(joined(samples))
    whole = {name: p.grad for name, p in trainer.avatar.named_parameters() if p.grad is not None}
    assert whole.keys() == sums.keys()
    for name, gradient in whole.items():
        scale = gradient.abs().max().clamp_min(1e-8)
        assert (gradient - sums[name]).abs().max() / scale < 2e-4, name  # float32 sums in another order


@pytest.mark.parametrize("decoder", [PART_BASES, NETWORKS], ids=["part_bases", "networks"])
def test_one_worker_with_two_shares_has_the_mean_of_two_workers_gradients(make, decoder) -> None:  # type: ignore[no-untyped-def]
    """And is told of a share that is not finite, whichever it is."""
    trainer = make(CONFIG, decoder, replicas=SingleReplica(2))
    alone = Trainer(trainer.avatar, trainer.clips, CONFIG, rasterizer=CpuRasterizer())
    samples = [trainer.sample(share=share) for share in range(2)]
    assert samples[0] != samples[1]
    totals, sums = [], {}
    for sample in samples:
        totals.append(float(alone.gradients(sample).total))
        for name, p in trainer.avatar.named_parameters():
            if p.grad is not None:
                sums[name] = sums.get(name, torch.zeros_like(p)) + p.grad / 2
    terms = trainer.gradients(*samples)
    assert float(terms.total) == pytest.approx(sum(totals) / 2, rel=1e-6)  # float32: a mean of two totals
    for name, p in trainer.avatar.named_parameters():
        assert (p.grad is None) == (name not in sums), name
        if p.grad is not None:
            # Float32: halves are exact, their sums round.
            assert torch.allclose(p.grad, sums[name], rtol=1e-6, atol=0), name
    inner, shares = trainer._loss, []

    def second_is_bad(share, sample, target):  # type: ignore[no-untyped-def]
        shares.append(share)
        found = inner(share, sample, target)
        return replace(found, total=found.total * torch.nan) if share == 1 else found

    trainer._loss = second_is_bad
    assert trainer.step().skipped == 1 and shares == [0, 1]


class OneOfTwo(SingleReplica):
    """One of two workers' places, for whoever only asks which frames are whose."""

    world = 2

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank, self.shares, self.n_shares = rank, (rank,), 2


def replace_rank(trainer: Trainer, rank: int) -> Trainer:
    replicas = OneOfTwo(rank)
    return Trainer(trainer.avatar, trainer.clips, trainer.config, rasterizer=CpuRasterizer(), replicas=replicas)


def test_the_reduction_is_called_between_backward_and_update(make) -> None:  # type: ignore[no-untyped-def]
    calls = []

    class Silent(SingleReplica):
        def backward(self, module, forwards, pattern):  # type: ignore[no-untyped-def]
            loss = super().backward(module, forwards, pattern)
            calls.append(sum(p.grad is not None for p in module.parameters()))
            module.zero_grad(set_to_none=True)
            return loss

    trainer = make(replicas=Silent())
    before = state(trainer)
    trainer.step()
    assert calls[0] > 0
    assert same(before, state(trainer))


def test_a_step_leaves_other_categories_bases_and_their_moments_alone(make) -> None:  # type: ignore[no-untyped-def]
    trainer = make()
    for _ in range(3):
        trainer.step()
    sample = trainer.sample()
    drawn = {trainer.avatar.subjects[row].category for row in sample.subjects}
    before = state(trainer)
    trainer.step()
    for row, subject in enumerate(trainer.avatar.subjects):
        if subject.category is not None and subject.category not in drawn:
            name = f"decoder.bases.{subject.category.index}"
            assert torch.equal(before[name], trainer.avatar.state_dict()[name]), row


def test_points_grow_and_are_pruned_on_schedule(make) -> None:  # type: ignore[no-untyped-def]
    densification = DensificationConfig(target=2000, every=0.05, grow_factor=1.2)
    trainer = make(replace(CONFIG, densification=densification), NETWORKS)
    counts = [trainer.step().n_gaussians for _ in range(8)]
    assert counts == [1600, 1920, 1920, 2000, 2000, 2000, 2000, 2000]


def test_another_configurations_checkpoint_is_refused(make) -> None:  # type: ignore[no-untyped-def]
    trainer = make()
    with pytest.raises(RecipeError, match="another training configuration"):
        make(replace(CONFIG, seed=1)).resume(trainer.checkpoint())


def test_the_perceptual_term_says_what_it_is(make) -> None:  # type: ignore[no-untyped-def]
    assert make().objective.perceptual_term == "none"
    assert make(replace(CONFIG, losses=LossConfig(perceptual=0.1))).objective.perceptual_term == "multi-scale SSIM"


def test_clips_that_do_not_belong_together_are_refused(tiny_clips, store) -> None:  # type: ignore[no-untyped-def]
    clip = tiny_clips[1][0]
    moved = replace(clip, parameters=replace(clip.parameters, pose=clip.parameters.pose + 0.1))
    with pytest.raises(StageError, match="motion"):
        ClipStore([tiny_clips[0][0], moved])


def test_selecting_frames_keeps_them_in_step(store) -> None:  # type: ignore[no-untyped-def]
    chosen = store.frame_numbers < 200
    part = store.frames(chosen)
    assert part.n_frames == chosen.sum()
    assert torch.equal(part.parameters.pose, store.parameters.pose[torch.from_numpy(chosen)])
    assert torch.equal(part.batch([2], [1]).images, store.batch([2], [1]).images)


class LosingSecond(OneOfTwo):
    """The first of two workers, whose fellow's loss is never finite."""

    def __init__(self) -> None:
        super().__init__(0)

    def maximum(self, values: torch.Tensor) -> torch.Tensor:
        return torch.tensor([0.0, 1.0]) if values.shape == (2,) else torch.ones_like(values)


def test_a_fellows_loss_is_named_by_whoever_tells(make, caplog) -> None:  # type: ignore[no-untyped-def]
    """The first worker alone is heard, and an error may be any worker's."""
    trainer = make(replicas=LosingSecond())
    texts = [trainer._words(trainer.sample(share=share)) for share in range(2)]
    trainer.step()
    assert texts[1] in caplog.text and texts[0] not in caplog.text
    with pytest.raises(TrainingDiverged) as raised:
        for _ in range(5):
            trainer.step()
    assert trainer._words(trainer.sample(share=1)) in str(raised.value)


class Fellow(SingleReplica):
    """Another replica that has met something that is not finite, at some steps."""

    def __init__(self, bad_steps: set[int]) -> None:
        super().__init__()
        self.bad_steps, self.asked = bad_steps, -1

    def maximum(self, values: torch.Tensor) -> torch.Tensor:
        self.asked += 1
        return values + float(self.asked in self.bad_steps)


def poisoned(trainer: Trainer, steps: set[int], value: float) -> None:
    """The loss of these steps is multiplied by a number that is not finite."""
    inner = trainer._loss
    trainer._loss = lambda share, sample, target: (  # type: ignore[method-assign]
        replace(terms, total=terms.total * value) if trainer.step_number in steps else terms
        for terms in [inner(share, sample, target)]
    ).__next__()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_step_that_is_not_finite_changes_nothing_and_is_named(make, value, caplog) -> None:  # type: ignore[no-untyped-def]
    trainer = make()
    poisoned(trainer, {1}, value)
    trainer.step()
    before, moments = state(trainer), {n: t.clone() for n, t in trainer._optimiser.moments().items()}
    report = trainer.step()
    assert same(state(trainer), before) and same(trainer._optimiser.moments(), moments)
    assert (report.step, report.skipped, trainer.step_number) == (1, 1, 2)
    texts = [trainer.avatar.subjects[row].text for row in trainer.sample(1).subjects if row]
    assert all(text in caplog.text for text in texts) and "frames" in caplog.text
    trainer.step()
    assert not same(state(trainer), before), "it goes on"


def test_a_replica_whose_fellow_met_nan_skips_the_same_step(make) -> None:  # type: ignore[no-untyped-def]
    trainer = make(replicas=Fellow({1}))
    trainer.step()
    before = state(trainer)
    trainer.step()
    assert same(state(trainer), before)
    trainer.step()
    assert not same(state(trainer), before)


def test_many_in_a_row_are_an_error_that_names_the_last(make) -> None:  # type: ignore[no-untyped-def]
    trainer = make()
    poisoned(trainer, set(range(2, 40)), torch.nan)
    with pytest.raises(TrainingDiverged, match=r"5 steps in a row .* step 6 of .*frames"):
        for _ in range(40):
            trainer.step()
    assert all(bool(torch.isfinite(value).all()) for value in state(trainer).values())


def test_an_avatar_that_is_not_finite_is_not_saved(make) -> None:  # type: ignore[no-untyped-def]
    trainer = make()
    trainer.check_replicas()
    with torch.no_grad():
        next(trainer.avatar.parameters())[...] = torch.nan
    with pytest.raises(TrainingDiverged, match="is not finite after step 0"):
        trainer.check_replicas()


def test_the_identity_loss_enters_a_step(make, store, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """The synthetic subjects have no face that dlib knows: the reference's place and descriptor are given."""
    from perse.losses import IdentityLoss

    face = torch.tensor([[0.3, 0, 8], [0, 0.3, 8]]), torch.zeros(128)
    monkeypatch.setattr(IdentityLoss, "_face", lambda self, frame: face)
    plain, with_identity = (make(replace(CONFIG, losses=LossConfig(identity=w))) for w in (0.0, 0.5))
    sample = plain.sample(0)
    first, second = plain.gradients(sample), with_identity.gradients(sample)
    pictures = plain.draw(
        plain.avatar.canonicalise(plain.avatar.subject_codes(torch.tensor(sample.subjects))), sample.of_frame,
        sample.frames,
    ).colors  # fmt: skip
    distance = float(with_identity._identity(pictures, sample.frames))
    assert distance > 0
    # Float32: a total of many terms.
    assert float(second.total) == pytest.approx(float(first.total) + 0.5 * distance, rel=1e-4)
    gradients = [t.avatar.decoder.base.grad for t in (plain, with_identity)]
    assert (gradients[0] - gradients[1]).abs().max() > 1e-6
