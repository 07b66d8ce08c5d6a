"""A cache for asyncio: copy it with line.py, and keep one Cache per process.

    cache = Cache(grpc.aio.insecure_channel("unix:/run/cache-agent/agent.sock", OPTIONS))
    user = await cache.get("users", "7", load)  # load("7") reads the source: bytes, or None
"""

import asyncio
import time
from contextlib import asynccontextmanager

from cacheaside.v1.cache_pb2 import FillRequest, GetRequest, GetResponse, ReleaseLeaseRequest
from cacheaside.v1.invalidation_pb2 import InvalidateRequest
from line import Line

OPTIONS = (("grpc.max_receive_message_length", 16 << 20), ("grpc.max_reconnect_backoff_ms", 1000))
PATIENCE = 2.0  # seconds for another caller to load, before one loads without filling


class Cache:
    def __init__(self, channel):
        self._reads = Line(channel)
        self._writes = Line(channel)  # A fill shall not queue up behind those who wait for it.

    async def get(self, cache, key, load):
        """The value of a key, loaded once in the fleet; None if the source has none."""
        answer = await self._ask(PATIENCE, cache=cache, key=key.encode())
        if not missed(answer):
            return answer.hit.entry.value if answer.HasField("hit") else None
        async with self._loading(cache, {key: answer}) as loaded:
            loaded[key] = await load(key)
        return loaded[key]

    async def get_many(self, cache, keys, load):
        """What there is of these keys, as a dict; load(keys) reads the missed ones, as one, too."""
        # Without patience: whoever holds leases does not wait for those of others.
        asks = (self._ask(0, cache=cache, key=key.encode(), wait={}) for key in keys)
        answers = dict(zip(keys, await asyncio.gather(*asks)))
        found = {key: one.hit.entry.value for key, one in answers.items() if one.HasField("hit")}
        misses = {key: one for key, one in answers.items() if missed(one)}
        async with self._loading(cache, misses) as loaded:
            loaded |= await load(list(misses)) if misses else {}
        return found | {key: value for key, value in loaded.items() if value is not None}

    async def invalidate(self, cache, keys=(), tags=()):
        """To be called after the source's commit. Raises if the agent does not take it."""
        told = InvalidateRequest(cache=cache, keys=map(str.encode, keys), tags=tags)
        await self._writes.call(invalidate=told)

    async def _ask(self, patience, **asked):
        end = time.monotonic() + patience
        try:
            while True:
                answer = (await self._reads.call(get=GetRequest(**asked))).get
                again = answer.miss.retry_after.ToMilliseconds() / 1000
                if not 0 < again < end - time.monotonic():
                    return answer
                await asyncio.sleep(again)
        except Exception:  # Any error means: read the source.
            return GetResponse()

    @asynccontextmanager
    async def _loading(self, cache, misses):
        """Fills the leases among the misses with what is loaded, or gives them back."""
        leases = {key: {"cache": cache, "key": key.encode(), "lease_token": one.miss.lease.token}
                  for key, one in misses.items() if one.miss.HasField("lease")}
        ends = [{"release_lease": ReleaseLeaseRequest(**one)} for one in leases.values()]
        try:
            yield (loaded := {})
            ends = [{"fill": fill(lease, loaded.get(key))} for key, lease in leases.items()]
        finally:
            # The value is good whatever becomes of this: SUPERSEDED is returned, but not cached.
            await asyncio.gather(*(self._writes.call(**one) for one in ends), return_exceptions=True)


def missed(answer):
    return not (answer.HasField("hit") or answer.HasField("negative"))


def fill(lease, value):
    return FillRequest(**lease, **({"not_found": {}} if value is None else {"value": value}))
