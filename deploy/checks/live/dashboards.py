"""Runs every query of every dashboard and recording rule against a real Prometheus over real
services under load: each must answer with numbers.

usage: dashboards.py DEPLOY FOLDER PROGRAMS

Then holds the series that queries and rules name against what the services tell.
"""

import json
import math
import os
import pathlib
import re
import sys
import time

sys.path.insert(0, os.path.join(os.environ["CLIENTS"], "python/stubs"))
import deployment  # noqa: E402
import prometheus  # noqa: E402
import resp  # noqa: E402
from world import Trouble, World, names_in, until  # noqa: E402

VARIABLES = {"$__rate_interval": "10s", "$cache": ".*"}
SERIES = re.compile(r"\b((?:cacheaside|process|grpc_server)_[a-z0-9_]+)")
# How long everything that queries look back at takes to be there, and a query at most.
SETTLES = 60


def queries(deploy):
    """Each query of the dashboards, by the panel that has it."""
    for path in sorted((deploy / "grafana/dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                if target["datasource"]["uid"] != "${datasource}":
                    raise Trouble(f"{path.name}, {panel['title']}: a datasource of its own")
                yield f"{path.name}, {panel['title']}", target["expr"]


def filled(expr):
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    if "$" in expr:
        raise Trouble(f"a variable that no dashboard has: {expr}")
    return expr


def answers(world, expr):
    """Why its answer is none: empty, or no number."""
    values = prometheus.query(world, expr)
    if not values:
        return "it is empty"
    # What nobody reads takes no time: only all of them together must be numbers.
    if all(math.isnan(float(value)) for value in values):
        return "there is no number in it"
    return None


def work(world):
    """Some of everything that dashboards show."""
    agent, bus_row = resp.Client(world.ports["resp"]), 0
    deployment.mood(world, old="fails", orders=None)
    end = time.monotonic() + 15
    key = 0
    while time.monotonic() < end:
        key += 1
        bus_row = bus_row % 1000 + 1
        agent("SET", f"users:{key % 50}", "x" * 100)
        for again in range(10):
            agent("GET", f"users:{(key + again) % 50}")
            agent("GET", f"far:{key % 50}")
        agent("SET", f"far:{key % 50}", "y")
        agent("SET", f"tiny:{key}", "z" * 500)
        agent("SET", f"orders:{key % 10}", "1")
        _, value, token, _ = agent("CACHE.GETL", f"leased:{key}")
        if token:
            agent("CACHE.FILL", f"leased:{key}", token, "1")
        if key % 20 == 0:
            world.psql(f"UPDATE users SET name = name || '.' WHERE id IN ({bus_row}, {key % 50})")
    for _ in range(5):
        world.run("cache-agent", "get", "users", "1", "--agent", f"unix://{world.folder}/agent.sock")
        time.sleep(0.5)


def main():
    deploy, folder, programs = sys.argv[1:]
    deploy = pathlib.Path(deploy)
    world = World(folder, programs)
    deployment.start(world)
    prometheus.start(world, deploy)
    work(world)
    asked = [(where, filled(expr)) for where, expr in queries(deploy)]
    for expr in re.findall(r"- record: (\S+)", (deploy / "prometheus/recording.yml").read_text()):
        asked.append(("recording.yml", expr))
    wrong = {}

    def all_answer():
        wrong.clear()
        for where, expr in asked:
            if why := answers(world, expr):
                wrong[where, expr] = why
        return not wrong
    try:
        until("every query answers with numbers", all_answer, SETTLES)
    except Trouble:
        lines = [f"{where}: {why}: {expr}" for (where, expr), why in wrong.items()]
        raise Trouble("\n".join(lines)) from None
    print(f"{len(asked)} queries answer with numbers")
    told = set().union(*(names_in(world.scrape(name)) for name in ("agent", "invalidator", "capture")))
    texts = [expr for _, expr in asked] + [path.read_text() for path in (deploy / "prometheus").glob("*.yml")]
    unknown = {name for text in texts for name in SERIES.findall(text)} - told
    unknown = {name for name in unknown if not name.startswith("cacheaside_hit")}
    if unknown:
        raise Trouble(f"nobody tells {', '.join(sorted(unknown))}")
    print(f"{len(told)} series are told, and no query names another")


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(f"dashboards: {trouble}")
