"""redis-py at the agent's port: `redis_py.py PORT TOKEN`. Prints a line for each thing that does."""

import sys
import time

import redis

PORT, TOKEN = int(sys.argv[1]), sys.argv[2]


def same(what, got, expected):
    assert got == expected, f"{what}: {got!r}, not {expected!r}"


def commands(client):
    same("set", client.set("notes:1", "one"), True)
    same("get", client.get("notes:1"), b"one")
    same("set nx", client.set("notes:1", "two", nx=True), None)
    same("set ex", client.set("notes:2", "two", ex=100), True)
    assert 50 < client.ttl("notes:2") <= 120
    same("ttl of none", client.ttl("notes:0"), -2)
    same("mget", client.mget("notes:1", "notes:0", "notes:2"), [b"one", None, b"two"])
    same("exists", client.exists("notes:1", "notes:0", "notes:2"), 2)
    with client.pipeline(transaction=False) as pipe:
        for number in range(100):
            pipe.set("notes:3", number).get("notes:3")
        same("pipeline", pipe.execute()[-2:], [True, b"99"])
    same("del", client.delete("notes:1", "notes:2", "notes:3"), 3)
    same("get of none", client.get("notes:1"), None)
    try:
        client.set("users:1", "one")
        raise AssertionError("a SET without a lease was taken")
    except redis.ResponseError as error:
        assert "CACHE.GETL" in str(error), error


def leases(client):
    state, value, token, _ = client.execute_command("CACHE.GETL", "users:7")
    same("getl", (state, value), (b"MISS", None))
    same("fill", client.execute_command("CACHE.FILL", "users:7", token, "seven", "EX", 60), b"STORED")
    same("getl", client.execute_command("CACHE.GETL", "users:7")[:2], [b"HIT", b"seven"])
    same("invalidate", client.execute_command("CACHE.INVALIDATE", "users", "KEY", "7"), b"OK")
    same("gone", client.get("users:7"), None)


def reconnects(client):
    client.set("notes:1", "one")
    print("restart", flush=True)
    sys.stdin.readline()
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            return same("get", client.get("notes:1"), b"one")
        except (redis.ConnectionError, redis.TimeoutError):
            time.sleep(0.02)
    raise AssertionError("it does not connect again")


try:
    redis.Redis(port=PORT).get("notes:1")
    raise AssertionError("nobody asked who it is")
except redis.AuthenticationError:
    print("auth", flush=True)
for protocol in (None, 2, 3):
    how = {} if protocol is None else {"protocol": protocol}
    client = redis.Redis(port=PORT, password=TOKEN, **how)
    for part in (commands, leases, reconnects):
        part(client)
        print(part.__name__, protocol or "default", flush=True)
    client.close()
