"""Try the cache by hand: you ask, and you are the database, too.

    get KEY…           asks for one key, or for many together
    row KEY [VALUE]    answers `load KEY`; without a value there is no such row
    invalidate KEY     tells the fleet that a row has changed
    watch              says what becomes invalid
"""

import asyncio
import sys

import grpc
from client import OPTIONS, Cache
from watch import Watch


def say(*words):
    words = (word.decode() if isinstance(word, bytes) else word for word in words)
    print(*(word for word in words if word is not None), flush=True)


class Shell:
    def __init__(self, address):
        self.channel = grpc.aio.insecure_channel(address, OPTIONS)
        self.cache, self.rows = Cache(self.channel), {}

    async def load(self, key):
        say("load", key)
        return await self.rows.setdefault(key, asyncio.get_running_loop().create_future())

    async def load_many(self, keys):
        return dict(zip(keys, await asyncio.gather(*map(self.load, keys))))

    async def get(self, *keys):
        if len(keys) == 1:
            found = {keys[0]: await self.cache.get("users", keys[0], self.load)}
        else:
            found = await self.cache.get_many("users", keys, self.load_many)
        for key in keys:
            say("got", key, found.get(key))

    async def row(self, key, value=None):
        if waiting := self.rows.pop(key, None):
            waiting.set_result(value and value.encode())

    async def invalidate(self, *keys):
        await self.cache.invalidate("users", keys)
        say("invalid", *keys)

    async def watch(self):
        self.watching = Watch(self.channel, ["users"], self.drop)
        while not self.watching.hears:
            await asyncio.sleep(0.01)
        say("hears")

    def drop(self, cache, kind, name):
        say("drop", cache, kind, name)

    async def run(self, line):
        word, *rest = line.split()
        try:
            await getattr(self, word)(*rest)
        except Exception as error:
            say("failed", word, *rest, repr(error))


async def main(address):
    shell, running = Shell(address), set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        task = asyncio.create_task(shell.run(line))
        running.add(task)
        task.add_done_callback(running.discard)
    await shell.channel.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
