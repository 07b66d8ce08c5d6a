"""Calls over one stream, an Exchange: they go out together, answers come in any order."""

import asyncio
import itertools
from contextlib import suppress
from datetime import timedelta

import grpc
from cacheaside.v1.stream_pb2 import Call, ExchangeRequest
from cacheaside.v1.stream_pb2_grpc import StreamServiceStub

TIMEOUT = timedelta(seconds=1)  # of one call, which the agent keeps
LATE = 0.5  # seconds after it, for an agent that hangs
RETRIES = (0.02, 0.2, None)  # seconds between tries: an agent that restarts is back soon
CALLS_MAX, BYTES_MAX = 1000, 1 << 20  # of one message


class Refused(Exception):
    """What the agent answered instead: a reason, and a message for people."""


class Line:
    def __init__(self, channel):
        self._stub = StreamServiceStub(channel)
        self._ids, self._waiting, self._running = itertools.count(1), {}, None

    async def call(self, **call):
        """The answer. A call whose stream ends is made again over another."""
        for pause in RETRIES:
            try:
                answer = await asyncio.wait_for(self._send(call), TIMEOUT.total_seconds() + LATE)
                break
            except ConnectionError:
                if pause is None:
                    raise
                await asyncio.sleep(pause)
        if answer.HasField("failure"):
            raise Refused(answer.failure.reason, answer.failure.message)
        return answer

    async def _send(self, call):
        if self._running is None or self._running.done():
            self._unsent = asyncio.Queue()
            self._running = asyncio.create_task(self._run(self._stub.Exchange(), self._unsent))
        number = next(self._ids)
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._unsent.put_nowait(Call(id=number, timeout=TIMEOUT, **call))
        try:
            return await answered
        finally:
            del self._waiting[number]

    async def _run(self, stream, unsent):
        writing = asyncio.create_task(self._write(stream, unsent))
        why = "the agent ended the stream"
        try:
            while message := await stream.read():
                for answer in message.answers:
                    answered = self._waiting.get(answer.id)
                    if answered and not answered.done():
                        answered.set_result(answer)
        except grpc.aio.AioRpcError as error:
            why = error.details()
        finally:
            writing.cancel()
            for answered in self._waiting.values():
                if not answered.done():
                    answered.set_exception(ConnectionError(why))

    async def _write(self, stream, unsent):
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # _run sees the end, too.
            while True:
                calls = [await unsent.get()]
                size = calls[0].ByteSize()
                while not unsent.empty() and len(calls) < CALLS_MAX and size < BYTES_MAX:
                    calls.append(unsent.get_nowait())
                    size += calls[-1].ByteSize()
                await stream.write(ExchangeRequest(calls=calls))
