"""A cache that keeps what fits."""

from __future__ import annotations

from perse.morphing.bounded_cache import MIB, BoundedCache


def cache_of(limit_mib: float) -> BoundedCache[bytes]:
    return BoundedCache(limit_mib, len)


def fill(cache: BoundedCache[bytes], key: str, mib: float) -> bytes:
    return cache.get(key, lambda: bytes(int(mib * MIB)))


def test_what_was_used_longest_ago_goes_first() -> None:
    cache = cache_of(3)
    for key in "abc":
        fill(cache, key, 1)
    fill(cache, "a", 1)
    fill(cache, "d", 1)
    assert "b" not in cache and all(key in cache for key in "acd")
    assert (cache.found, cache.made) == (1, 4)


def test_the_limit_holds() -> None:
    cache = cache_of(2.5)
    for number in range(20):
        fill(cache, str(number), 0.4 + 0.05 * number)
        assert cache.size_mib <= 2.5


def test_what_never_fits_is_made_and_not_kept() -> None:
    cache = cache_of(1)
    fill(cache, "small", 0.5)
    assert len(fill(cache, "large", 2)) == 2 * MIB
    assert "large" not in cache and "small" in cache
    fill(cache_of(0), "anything", 0.1)


def test_clearing_forgets() -> None:
    cache = cache_of(2)
    fill(cache, "a", 1)
    cache.clear()
    assert "a" not in cache and cache.size_mib == 0
