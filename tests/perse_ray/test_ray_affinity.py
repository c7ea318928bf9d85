"""Requests go where their ends are remembered, and nobody stands idle for it."""

from __future__ import annotations

from itertools import combinations

from perse_ray.training.affinity import Affinity, AffinityRouter


def test_a_subject_is_sent_where_it_was_sent_before() -> None:
    router = AffinityRouter(3)
    first = router.choose(Affinity(("a", "b"), 7), [0, 0, 0])
    assert router.choose(Affinity(("a", "c"), 7), [0, 0, 0]) == first
    assert router.choose(Affinity(("x", "y"), 7), [1, 0, 0]) != first
    assert router.sent_to_holder == 1


def test_a_frame_counts_for_more_than_a_subject() -> None:
    router = AffinityRouter(2)
    router.choose(Affinity(("a", "b"), 1), [0, 1])
    router.choose(Affinity(("a", "c"), 2), [1, 0])
    assert router.choose(Affinity(("a", "d"), 2), [0, 0]) == 1
    assert router.choose(Affinity(("a", "e"), 1), [0, 0]) == 0


def test_a_long_queue_outweighs_memory() -> None:
    router = AffinityRouter(2)
    holder = router.choose(Affinity(("a", "b"), 1), [0, 0])
    queues = [0, 0]
    queues[holder] = 5
    assert router.choose(Affinity(("a", "b"), 1), queues) != holder


def test_a_restarted_actor_is_believed_to_hold_nothing() -> None:
    router = AffinityRouter(2)
    holder = router.choose(Affinity(("a", "b"), 1), [0, 1])
    router.forget(holder)
    router.choose(Affinity(("a", "b"), 1), [1, 0])
    assert router.sent_to_holder == 0


def test_routing_saves_inversions() -> None:
    """All pairs of 12 subjects in one frame over four actors: counted against dealing them out in turn."""
    pairs = list(combinations("abcdefghijkl", 2))

    def inversions(assignment: list[int]) -> int:
        return len({(actor, subject) for actor, pair in zip(assignment, pairs, strict=True) for subject in pair})

    router, queues, routed = AffinityRouter(4), [0, 0, 0, 0], []
    for pair in pairs:
        if sum(queues) == 12:  # a full window: everybody finishes one
            queues = [max(0, queue - 1) for queue in queues]
        routed.append(router.choose(Affinity((pair[0], pair[1]), 3), queues))
        queues[routed[-1]] += 1
    in_turn = [number % 4 for number in range(len(pairs))]
    assert inversions(routed) < inversions(in_turn)
    assert min(routed.count(actor) for actor in range(4)) >= len(pairs) // 10, "nobody stands idle"
