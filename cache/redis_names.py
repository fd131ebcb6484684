"""
Names of the keys in Redis.

```
<prefix>{07}:e:<digest>   an entry: the generations of its groups, then its envelope
<prefix>{07}:g:<group>    a group's generation: 8 random bytes, made by the first write after a purge
<prefix>{07}:l:<digest>:<variant>  a lease: who makes the entry
<prefix>{07}:i:<group>    a group's index: digests by the time at which they expire
```

An entry counts only when it begins with the present generations of all its groups. So a purge is the removal of the
generations, nothing needs to be found for it, and a generation that Redis itself evicts forgets entries, never
revives them. The indexes only erase what a purge has made worthless, and count it; SCAN, which walks the whole
database, is never needed.

The number in braces, from a digest's first byte, spreads entries over the nodes of a Redis Cluster, and keeps what one
look-up reads on one of them: one MGET.
"""

import hashlib
from functools import lru_cache
from typing import Final

from cache.keys import Key
from cache.store import EVERYTHING

SHARDS: Final = 64


class RedisNames:
    """The names below one prefix."""

    def __init__(self, prefix: str) -> None:
        self._shards = [f"{prefix}{{{shard:02d}}}:" for shard in range(SHARDS)]

    def read(self, key: Key) -> list[str]:
        """What a look-up reads: the generations of the entry's groups, and last the entry."""
        shard = self._shards[key.digest[0] % SHARDS]
        names = [f"{shard}g:{_group_name(group)}" for group in (EVERYTHING, *key.groups)]
        names.append(f"{shard}e:{key.digest.hex()}")
        return names

    def written(self, key: Key) -> list[str]:
        """What a write touches: the entry, and for each group its generation and its index."""
        shard = self._shards[key.digest[0] % SHARDS]
        names = [f"{shard}e:{key.digest.hex()}"]
        for group in (EVERYTHING, *key.groups):
            name = _group_name(group)
            names += (f"{shard}g:{name}", f"{shard}i:{name}")
        return names

    def lease(self, key: Key, variant: str) -> str:
        """On the same node as the entry."""
        return f"{self._shards[key.digest[0] % SHARDS]}l:{key.digest.hex()}:{variant}"

    def generations(self, group: str) -> list[str]:
        return [f"{shard}g:{_group_name(group)}" for shard in self._shards]

    def indexes(self, group: str) -> list[str]:
        return [f"{shard}i:{_group_name(group)}" for shard in self._shards]

    def entry_beside(self, index: str, digest: str) -> str:
        """The entry that `digest` in `index` stands for."""
        return f"{index[: index.index('}') + 2]}e:{digest}"

    def index_beside(self, index: str, group: str) -> str:
        """Another group's index, of the same shard as `index`."""
        return f"{index[: index.index('}') + 2]}i:{_group_name(group)}"


@lru_cache(maxsize=8192)
def _group_name(group: str) -> str:
    """Of one length whatever the group, and without telling a tenant's name to who lists the keys."""
    return hashlib.blake2b(group.encode(errors="surrogatepass"), digest_size=12).hexdigest()
