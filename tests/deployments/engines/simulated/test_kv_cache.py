"""`deployments/engines/simulated/kv_cache.py`."""

from deployments.engines.simulated.kv_cache import PrefixCache


def test_a_prefix_hits_up_to_the_first_difference() -> None:
    """Only leading blocks count: one that is there behind a missing one cannot be used."""
    cache = PrefixCache(10)

    assert [0, 3, 1, 0] == [cache.admit(keys) for keys in ([1, 2, 3], [1, 2, 3], [1, 9, 3], [8, 1, 2])]


def test_the_least_recently_used_prompt_is_dropped_first() -> None:
    """A full cache forgets the prompt that was not used for longest."""
    cache = PrefixCache(4)
    for keys in ([1, 2], [3, 4], [1, 2], [5, 6]):
        cache.admit(keys)

    assert [2, 0] == [cache.admit([1, 2]), cache.admit([3, 4])]


def test_a_prompt_loses_its_end_before_its_beginning() -> None:
    """When room for one block is needed, the beginning, which others may share, stays."""
    cache = PrefixCache(3)
    cache.admit([1, 2, 3])
    cache.admit([9])

    assert 2 == cache.admit([1, 2])
