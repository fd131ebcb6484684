"""From settings to a store."""

from collections.abc import Mapping

from cache.memory_store import MemoryStore
from cache.redis_store import RedisStore
from cache.store import Store
from configs.cache import CacheSettings, MemoryStoreSettings


def open_store(settings: CacheSettings, environment: Mapping[str, str]) -> Store:
    """
    The store that the settings describe. Whoever opens it closes it, on the event loop that used it.

    Args:
        environment: where secrets are looked up: `os.environ`.

    Raises:
        BadSecret: an environment variable that the settings name is not set, or holds too little.
    """
    if isinstance(settings.store, MemoryStoreSettings):
        return MemoryStore(settings.store.max_bytes, settings.max_entry_bytes)
    return RedisStore(settings, settings.store, environment)
