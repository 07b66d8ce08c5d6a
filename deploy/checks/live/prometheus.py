"""A real Prometheus over a world, whose rules run sixty times as fast as an operator's."""

import json
import pathlib
import re
import urllib.parse

from world import Trouble, fetch, until

# A minute of the rules is a second of the check.
SPEED = 60
SCRAPE = "500ms"
JOBS = {"cache-agent": ["agent", "skewed"], "invalidator": ["invalidator"], "capture": ["capture"]}
SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def quick(text):
    """The same rules with every span of time in them divided by SPEED."""
    def divided(match):
        seconds = int(match[2]) * SPANS[match[3]] / SPEED
        return f"{match[1]}{max(1, round(seconds))}s{match[4]}"
    text = re.sub(r"(\[)(\d+)([smhd])(\])", divided, text)
    text = re.sub(r"(offset )(\d+)([smhd])()", divided, text)
    return re.sub(r"(for: )(\d+)([smhd])()$", divided, text, flags=re.MULTILINE)


def start(world, deploy):
    """Starts it over the services of the world that are named in JOBS."""
    rules = []
    for name in ("recording.yml", "alerts.yml"):
        text = (pathlib.Path(deploy) / "prometheus" / name).read_text()
        rules.append(str(world.write(name, quick(text))))
    scrape = "".join(
        f"  - job_name: {job}\n    static_configs: [{{ targets: {json.dumps([world.at(name) for name in names])} }}]\n"
        for job, names in JOBS.items())
    config = world.write("prometheus.yml", (
        f"global: {{ scrape_interval: {SCRAPE}, scrape_timeout: {SCRAPE}, evaluation_interval: {SCRAPE} }}\n"
        f"rule_files: {json.dumps(rules)}\nscrape_configs:\n{scrape}"))
    world.start("prometheus", "prometheus", f"--config.file={config}", f"--web.listen-address={world.at('prometheus')}",
                f"--storage.tsdb.path={world.folder / 'prometheus'}", "--log.level=warn",
                ready=lambda: fetch(world.at("prometheus"), "/-/ready"))
    # What is counted before the first look at it never rises.
    names = sum(JOBS.values(), [])
    until("everything was looked at", lambda: query(world, "count(count_over_time(up[5s]) > 4)") == [str(len(names))])


def ask(world, path, **arguments):
    text = fetch(world.at("prometheus"), f"/api/v1/{path}?{urllib.parse.urlencode(arguments)}")
    if text is None:
        raise Trouble(f"Prometheus refuses {path} {arguments}")
    return json.loads(text)["data"]


def query(world, expr):
    """The values of a query at this moment."""
    return [sample["value"][1] for sample in ask(world, "query", query=expr)["result"]]


def firing(world):
    return {alert["labels"]["alertname"] for alert in ask(world, "alerts")["alerts"] if alert["state"] == "firing"}
