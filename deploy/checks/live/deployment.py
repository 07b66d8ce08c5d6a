"""The settings of the world's services: one cache for each thing that can go wrong with one."""

import os
import pathlib
import sys
import threading
import time

import resp
from slow import Wire
from world import fetch, until

# Causes run side by side.
LOCK = threading.Lock()
CLIENTS = pathlib.Path(os.environ["CLIENTS"])

AGENT = """
start = "degraded"
log = "info"
[listen]
resp = "{resp}"
unix = "{folder}/{name}.sock"
[admin]
address = "{admin}"
[drain]
delay = "0ms"
[l2]
kind = "single"
urls = ["redis://{redis}"]
[bus]
url = "nats://{nats}"
[loader]
address = "unix:{folder}/application.sock"
calls_max = 4

[[cache]]
name = "users"
unleased_set = "stores"
[[cache]]
name = "far"
unleased_set = "stores"
l1_bytes = "0B"
[[cache]]
name = "tiny"
unleased_set = "stores"
l1_bytes = "16KiB"
[[cache]]
name = "leased"
lease = "100ms"
load_timeout = "50ms"
[[cache]]
name = "failing"
read = "through"
ttl = "500ms"
[[cache]]
name = "broken"
read = "through"
ttl = "500ms"
[[cache]]
name = "old"
read = "through"
ttl = "500ms"
stale_ttl = "1h"
[[cache]]
name = "slow"
read = "through"
loads_max = 1
load_queue = "50ms"
[[cache]]
name = "compared"
read = "through"
[[cache]]
name = "orders"
write = "behind"
[[cache]]
name = "refused"
write = "behind"
"""

INVALIDATOR = """
[l2]
kind = "single"
urls = ["redis://{redis}"]
[bus]
url = "nats://{nats}"
[admin]
address = "{admin}"
"""

RULES = """
[source]
stream = "CDC"
create_stream = true
subjects = ["cdc.>"]
in_flight = 256
[[rule]]
table = "public.users"
cache = "users"
keys = ["{id}"]
[[rule]]
table = "public.users"
cache = "far"
keys = ["{id}"]
"""

CAPTURE = """
[postgres]
url = "postgres://postgres@127.0.0.1:{postgres}/postgres"
tls = "off"
tables = ["public.users"]
[events]
url = "nats://127.0.0.1:{wire}"
stream = "CDC"
create_stream = true
[admin]
address = "{admin}"
"""

TABLE = """
CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL);
ALTER TABLE users REPLICA IDENTITY FULL;
INSERT INTO users SELECT n, 'user ' || n FROM generate_series(1, 1000) n;
CREATE PUBLICATION cacheaside FOR TABLE public.users WITH (publish_via_partition_root = true)
"""


def start(world):
    """Starts everything but Prometheus."""
    world.redis()
    world.nats()
    world.postgres()
    for statement in TABLE.strip().split(";\n"):
        world.psql(statement)
    world.psql("SELECT pg_create_logical_replication_slot('cacheaside', 'pgoutput')")
    world.wire = Wire(world.ports["nats"])
    world.moods = {}
    mood(world)
    start_application(world)
    common = {"redis": world.at("redis"), "nats": world.at("nats"), "folder": world.folder}
    postgres, wire = world.ports["postgres"], world.wire.port
    files = {
        "capture": CAPTURE.format(wire=wire, postgres=postgres, admin=world.at("capture")),
        "invalidator": INVALIDATOR.format(**common, admin=world.at("invalidator")),
        "agent": AGENT.format(**common, name="agent", resp=world.at("resp"), admin=world.at("agent")),
        "skewed": AGENT.format(**common, name="skewed", resp="127.0.0.1:0", admin=world.at("skewed")),
        "rules": RULES,
    }
    world.files = {name: world.write(f"{name}.toml", text) for name, text in files.items()}
    world.program("capture", "invalidator", "capture", "postgres", "--config", world.files["capture"])
    both = ["--config", world.files["invalidator"], "--rules", world.files["rules"]]
    world.program("invalidator", "invalidator", "serve", *both)
    world.program("agent", "cache-agent", "serve", "--config", world.files["agent"])
    world.program("skewed", "cache-agent", "serve", "--config", world.files["skewed"])
    for name in ("capture", "invalidator", "agent"):
        until(f"{name} is ready", lambda at=world.at(name): (fetch(at, "/ready") or "").startswith("ready"))
    client = resp.Client(world.ports["resp"])
    # What is stored before the agent has heard that a stream it does not know begins is refused.
    until("what is stored is there", lambda: keeps(client))
    threading.Thread(target=read_on, args=(world,), daemon=True).start()


def keeps(client):
    client("SET", "users:1", "1")
    return client("GET", "users:1") == b"1"


def read_on(world):
    """What goes on all the time: some reads of every cache that loads, of rows of their own."""
    key = 0
    while True:
        try:
            agent = resp.Client(world.ports["resp"])
            while True:
                key = (key + 1) % 10
                for cache in ("failing", "broken", "old"):
                    try:
                        agent("GET", f"{cache}:usual{key}")
                    except resp.Refused:
                        pass  # Its source fails, because a check has it fail.
                time.sleep(0.05)
        except OSError:
            time.sleep(0.5)


def start_application(world):
    socket = world.folder / "application.sock"
    socket.unlink(missing_ok=True)
    here = pathlib.Path(__file__).parent
    world.start("application", sys.executable, here / "application.py", world.folder / "moods", socket,
                CLIENTS / "python/stubs", ready=socket.exists)


def mood(world, **moods):
    """What the application does with each cache's keys from here on; `None` forgets it."""
    with LOCK:
        world.moods |= moods
        lines = [f"{cache} {what}\n" for cache, what in world.moods.items() if what is not None]
        passing = world.folder / "moods.next"
        passing.write_text("".join(lines))
        passing.rename(world.folder / "moods")
