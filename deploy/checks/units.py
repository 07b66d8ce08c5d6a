"""Whether units agree with the programs and with the settings beside them.

usage: units.py FOLDER
"""

import pathlib
import re
import sys

folder = pathlib.Path(sys.argv[1])
SETTINGS = {"cache-agent": "agent.toml", "invalidator": "invalidator.toml", "invalidator-capture": "capture.toml"}
NOTIFIES = {"cache-agent", "invalidator"}  # a capture tells a manager nothing
RELOADS = {"cache-agent"}  # SIGHUP ends the others
DRAIN_MAX = 40  # seconds that a drain, and what comes after it, may take
problems = []


def check(name, holds, problem):
    if not holds:
        problems.append(f"{name}.service: {problem}")


for name, settings in SETTINGS.items():
    keys = {}
    for line in (folder / f"{name}.service").read_text().splitlines():
        if match := re.match(r"([A-Za-z]+)=(.*)", line):
            keys.setdefault(match[1], []).append(match[2])
    only = {key: values[-1] for key, values in keys.items()}
    notifies = only.get("Type") in ("notify", "notify-reload")
    check(name, notifies == (name in NOTIFIES), f"Type={only.get('Type')}, but it {'tells' if name in NOTIFIES else 'tells nothing'}")
    check(name, ("WatchdogSec" in keys) == (name in NOTIFIES), "WatchdogSec is for those who give a sign of life")
    check(name, ("ExecReload" in keys) == (name in RELOADS), "ExecReload sends SIGHUP, which ends all but the agent")
    stop = int(re.sub(r"s$", "", only.get("TimeoutStopSec", "0")))
    check(name, stop >= DRAIN_MAX, f"TimeoutStopSec={stop} is less than {DRAIN_MAX}")
    check(name, only.get("DynamicUser") == "yes", "DynamicUser=yes is missing")
    loaded = {value.split(":")[0] for value in keys.get("LoadCredential", [])}
    named = set(re.findall(rf'"/run/credentials/{name}\.service/(\w+)"', (folder / settings).read_text()))
    check(name, loaded == named, f"loads {sorted(loaded)}, and {settings} names {sorted(named)}")
    files = " ".join(keys["ExecStart"])
    check(name, settings in files, f"ExecStart does not name {settings}")

print("\n".join(problems))
sys.exit(bool(problems))
