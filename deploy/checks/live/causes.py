"""What each alert is for, done for real, and mended.

A cause is a generator: until its first `yield` it does what goes wrong, each further step keeps it
going, and what stands in `finally` is the mend.
"""

import pathlib
import signal
import time

import grpc
import nats
import resp
from deployment import mood
from world import fetch, until

from cacheaside.v1 import admin_pb2, admin_pb2_grpc


def client(world):
    return resp.Client(world.ports["resp"])


def ask(agent, *words):
    """What a cache is asked while its source fails is an error, and that is the point."""
    try:
        return agent(*words)
    except resp.Refused:
        return None


def reads_of_nothing(world):
    agent, key = client(world), 0
    while True:
        for _ in range(20):
            key += 1
            agent("GET", f"leased:absent{key}")
        yield


def a_source_that_fails(cache, what="fails", at_once=1):
    def cause(world):
        agents, key = [client(world) for _ in range(at_once)], 0
        mood(world, **{cache: what})
        try:
            while True:
                for agent in agents:
                    key += 1
                    ask(agent, "GET", f"{cache}:{key}")
                yield
        finally:
            mood(world, **{cache: None})
    return cause


def a_source_that_fails_later(world):
    """Its values have expired by then."""
    agent = client(world)
    for key in range(20):
        agent("GET", f"old:{key}")
    mood(world, old="fails")
    try:
        while True:
            for key in range(20):
                ask(agent, "GET", f"old:{key}")
            yield
    finally:
        mood(world, old=None)


def a_source_that_is_slow(world):
    """One load at once, one waits; whoever comes then is refused. Answers are not waited for."""
    mood(world, slow="slow")
    key, agents = 0, [client(world) for _ in range(6)]
    try:
        while True:
            for agent in agents:
                key += 1
                word = f"slow:{key}".encode()
                agent.socket.sendall(b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(word), word))
            time.sleep(0.1)
            yield
    finally:
        mood(world, slow=None)
        for agent in agents:
            agent.socket.close()


def too_small_an_l1(world):
    agent, key = client(world), 0
    while True:
        for _ in range(20):
            key += 1
            agent("SET", f"tiny:{key}", "x" * 500)
            agent("GET", f"tiny:{key}")
            agent("GET", f"tiny:{key - 100}")
        yield


def loads_longer_than_the_lease(world):
    agent, key = client(world), 0
    while True:
        key += 1
        _, _, token, _ = agent("CACHE.GETL", f"leased:long{key}")
        time.sleep(0.2)
        agent("CACHE.FILL", f"leased:long{key}", token, "late")
        yield


def garbage_in_redis(world):
    agent, redis = client(world), resp.Client(world.ports["redis"])
    agent("SET", "far:spoilt", "good")
    places = [key for key in redis("KEYS", "*") if key.endswith(b"spoilt")]
    while True:
        for place in places:
            redis("SET", place, b"no record of ours", "PX", 60000)
        agent("GET", "far:spoilt")
        yield


def redis_put_back(world):
    """Somebody restores what Redis held before a change."""
    agent, redis, row = client(world), resp.Client(world.ports["redis"]), 100
    while True:
        row += 1
        agent("SET", f"far:{row}", "old")
        places = [key for key in redis("KEYS", "*") if key.endswith(b"/far/%d" % row)]
        kept = [(place, redis("DUMP", place)) for place in places]
        world.psql(f"UPDATE users SET name = name || '!' WHERE id = {row}")
        until("the change has arrived", lambda: agent("GET", f"far:{row}") is None)
        for place, dumped in kept:
            if dumped:
                redis("RESTORE", place, 60000, dumped, "REPLACE")
        yield


def a_writer_without_events(world):
    """The source changes, and nobody says so; every hit is held against it."""
    with grpc.insecure_channel(world.at("agent")) as channel:
        admin_pb2_grpc.AdminServiceStub(channel).SetSwitches(
            admin_pb2.SetSwitchesRequest(cache="compared", shadow_per_million=1_000_000))
    agent, key = client(world), 0
    try:
        while True:
            key += 1
            mood(world, compared="before")
            agent("GET", f"compared:{key}")
            mood(world, compared="after")
            for _ in range(20):
                agent("GET", f"compared:{key}")
                time.sleep(0.1)
                yield
    finally:
        agent("CACHE.INVALIDATE", "compared", "ALL")


def a_write_that_is_not_taken(cache, what):
    def cause(world):
        agent = client(world)
        mood(world, **{cache: what})
        agent("SET", f"{cache}:1", "mine")
        try:
            while True:
                yield
        finally:
            mood(world, **{cache: None})
    return cause


def an_event_nobody_can_read(world):
    bus, number = nats.Client(world.ports["nats"]), 0
    while True:
        number += 1
        if number % 20 == 1:
            bus.ask("cdc.public.users", b"{ no event }")
        yield


def a_wrong_configuration(world):
    right = world.files["agent"].read_text()
    world.files["agent"].write_text(right + "\nwritten_by_night = true\n")
    world.parts["agent"].tell(signal.SIGHUP)
    try:
        while True:
            yield
    finally:
        world.files["agent"].write_text(right)
        world.parts["agent"].tell(signal.SIGHUP)


def a_clock_that_is_wrong(world):
    part = world.parts["skewed"]
    part.end()
    library = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    part.env = {"LD_PRELOAD": str(library), "FAKETIME": "+600s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    world.start("skewed", ready=lambda: fetch(world.at("skewed"), "/live"))
    try:
        while True:
            yield
    finally:
        part.end(signal.SIGKILL)
        part.env = None
        world.start("skewed", ready=lambda: fetch(world.at("skewed"), "/live"))


def a_burst_of_log(world):
    """More than the database should keep; it keeps all for as long as events may come too early."""
    written = 0
    while True:
        if written < 24:
            world.psql("SELECT pg_logical_emit_message(false, 'noise', repeat('x', 50000000))")
            written += 1
        yield


def a_slow_network(world):
    """What the capture writes into the stream comes late."""
    world.wire.delay = 7.0
    try:
        while True:
            world.psql("UPDATE users SET name = name || '.' WHERE id = 1")
            time.sleep(0.1)
            yield
    finally:
        world.wire.delay = 0.0


def no_bus(world):
    world.parts["nats"].end(signal.SIGKILL)
    try:
        while True:
            yield
    finally:
        world.start("nats")


def no_redis(world):
    world.parts["redis"].end(signal.SIGKILL)
    agent, row = client(world), 0
    try:
        while True:
            row = row % 1000 + 1
            world.psql(f"UPDATE users SET name = name || '?' WHERE id = {row}")
            for key in range(20):
                ask(agent, "GET", f"users:away{key}")
            yield
    finally:
        world.start("redis")


def a_forgotten_pause(world):
    files = ["--config", world.files["invalidator"], "--rules", world.files["rules"]]
    world.run("invalidator", "pause", "--why", "nobody remembers", *files)
    try:
        while True:
            yield
    finally:
        world.run("invalidator", "resume", *files)


def too_small_a_stream(world):
    bus = nats.Client(world.ports["nats"])
    files = ["--config", world.files["invalidator"], "--rules", world.files["rules"]]
    world.run("invalidator", "pause", "--why", "to let the stream run over", *files)
    for row in range(1, 60):
        world.psql(f"UPDATE users SET name = 'over' WHERE id = {row}")
    before = bus.change_stream("CDC", max_msgs=5)
    world.run("invalidator", "resume", *files)
    try:
        while True:
            world.psql("UPDATE users SET name = name || ',' WHERE id = 3")
            yield
    finally:
        bus.change_stream("CDC", **before)


def a_part_that_is_gone(name):
    def cause(world):
        part = world.parts[name]
        part.end(signal.SIGKILL)
        try:
            while True:
                yield
        finally:
            world.start(name, ready=lambda: fetch(world.at(name), "/live"))
    return cause


# What goes wrong beside all the rest, since it takes long to be well again.
BESIDE = [(a_burst_of_log, ["CacheCaptureRetains"])]
# What can go wrong side by side, and then one after the other.
STAGES = [
    [
        (reads_of_nothing, ["CacheHitRateLow"]),
        (a_source_that_fails("failing"), ["CacheLoadErrors"]),
        (a_source_that_fails("broken"), ["CacheSourceBreakerOpen"]),
        (a_source_that_fails_later, ["CacheServingStale"]),
        (a_source_that_is_slow, ["CacheLoadsShed"]),
        (too_small_an_l1, ["CacheL1Thrashing"]),
        (loads_longer_than_the_lease, ["CacheLeasesExpiring"]),
        (garbage_in_redis, ["CacheCodecErrors"]),
        (redis_put_back, ["CacheInspectorViolations"]),
        (a_writer_without_events, ["CacheShadowWrong"]),
        (a_write_that_is_not_taken("orders", "fails"), ["CacheQueueBacklog"]),
        (a_write_that_is_not_taken("refused", "refuses"), ["CacheWritesPutAside"]),
        (an_event_nobody_can_read, ["CacheInvalidatorDeadLetters"]),
        (a_wrong_configuration, ["CacheConfigRefused"]),
        (a_clock_that_is_wrong, ["CacheClockSkew"]),
    ],
    [(a_slow_network, ["CacheInvalidationLagHigh"])],
    [(a_forgotten_pause, ["CacheInvalidatorPaused"])],
    [(no_redis, ["CacheL2Failing", "CacheInvalidatorStalled"])],
    [(no_bus, ["CacheL1Untrusted"])],
    [(too_small_a_stream, ["CacheInvalidatorOverrun"])],
    [
        (a_part_that_is_gone("invalidator"), ["CacheInvalidatorAbsent", "CacheMetricsAbsent"]),
        (a_part_that_is_gone("capture"), ["CacheCaptureAbsent"]),
    ],
]
