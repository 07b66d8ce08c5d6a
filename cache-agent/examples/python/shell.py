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


class Shell:
    def __init__(self, address):
        self.channel = grpc.aio.insecure_channel(address, OPTIONS)
        self.cache, self.rows = Cache(self.channel), {}

    async def load(self, key):
        print("load", key, flush=True)
        return await self.rows.setdefault(key, asyncio.get_running_loop().create_future())

    async def load_many(self, keys):
        return dict(zip(keys, await asyncio.gather(*map(self.load, keys))))

    async def get(self, *keys):
        if len(keys) == 1:
            found = {keys[0]: await self.cache.get("users", keys[0], self.load)}
        else:
            found = await self.cache.get_many("users", keys, self.load_many)
        for key in keys:
            value = found.get(key)
            print("got", key, *([] if value is None else [value.decode()]), flush=True)

    async def row(self, key, value=None):
        self.rows.pop(key).set_result(value and value.encode())

    async def invalidate(self, *keys):
        await self.cache.invalidate("users", keys)
        print("invalid", *keys, flush=True)

    async def watch(self):
        self.watching = Watch(self.channel, ["users"], self.drop)
        while not self.watching.hears:
            await asyncio.sleep(0.01)
        print("hears", flush=True)

    def drop(self, cache, kind, name):
        print("drop", cache, kind, name.decode() if kind == "key" else name or "", flush=True)

    async def run(self, line):
        word, *rest = line.split()
        try:
            await getattr(self, word)(*rest)
        except Exception as error:
            print("failed", word, *rest, repr(error), flush=True)


async def main(address):
    shell, running = Shell(address), set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        task = asyncio.create_task(shell.run(line))
        running.add(task)
        task.add_done_callback(running.discard)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
