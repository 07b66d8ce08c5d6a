"""Tells what becomes invalid, for callers that keep copies of their own."""

import asyncio

import grpc
from cacheaside.v1.invalidation_pb2 import WatchRequest
from cacheaside.v1.invalidation_pb2_grpc import InvalidationServiceStub

SILENCE_MAX = 20  # seconds: the agent gives a sign of life every 15
PAUSE = 0.2  # seconds before one listens again


class Watch:
    """Calls drop(cache, kind, name) for whatever is invalid: a "key", a "tag", or with no name
    the "whole_cache". Open it before keeping the first copy, and use copies only while it hears.
    """

    def __init__(self, channel, caches, drop):
        if not caches:
            raise ValueError("name the caches: a gap that says no names is of all of them")
        self.hears = False
        self._stub = InvalidationServiceStub(channel)
        self._caches, self._drop = caches, drop
        self._task = asyncio.create_task(self._run())

    def close(self):
        self._task.cancel()

    async def _run(self):
        cursor = ""
        while True:
            told = self._stub.Watch(WatchRequest(caches=self._caches, cursor=cursor))
            try:
                while message := await asyncio.wait_for(told.read(), SILENCE_MAX):
                    self._heard(message)
                    cursor = message.cursor
            except (grpc.aio.AioRpcError, TimeoutError):
                pass
            finally:
                self.hears = False
                told.cancel()
            await asyncio.sleep(PAUSE)

    def _heard(self, message):
        match message.WhichOneof("event"):
            case "invalidations":
                for one in message.invalidations.all:
                    kind = one.WhichOneof("target")
                    name = None if kind == "whole_cache" else getattr(one, kind)
                    self._drop(one.cache, kind, name)
            case "gap":
                for cache in message.gap.caches or self._caches:
                    self._drop(cache, "whole_cache", None)
            case "heartbeat":
                self.hears = message.heartbeat.hears
