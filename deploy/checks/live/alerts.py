"""Causes every alert for real, sees it fire in a real Prometheus, mends the cause, and sees it clear.

usage: alerts.py DEPLOY FOLDER PROGRAMS [ALERT…]

Prints how long each took to fire and to clear, in seconds of this check: a minute of the rules is
one of them. Ends with 1 if an alert of the rules did not fire, did not clear, or has no cause.
"""

import os
import pathlib
import re
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.join(os.environ["CLIENTS"], "python/stubs"))
import deployment  # noqa: E402
import prometheus  # noqa: E402
from causes import BESIDE, STAGES  # noqa: E402
from world import Trouble, World  # noqa: E402

# Well above a quarter of an hour of the rules, the minute that a write waits, and the two and a
# half that a database keeps its log.
FIRES_WITHIN = int(os.environ.get("FIRES_WITHIN", "120"))
CLEARS_WITHIN = 240


def follow(world, cause, alerts, told):
    """One cause to its end, in a thread of its own."""
    running = cause(world)
    try:
        fired = wait_for(world, alerts, True, FIRES_WITHIN, lambda: next(running))
        running.close()
        cleared = wait_for(world, alerts, False, CLEARS_WITHIN, lambda: time.sleep(0.1))
        for alert in alerts:
            told.add(alert)
            took = f"fired after {fired[alert]:5.1f} s, cleared after {cleared[alert]:5.1f} s"
            print(f"  {alert:<30} {took}", flush=True)
    except Exception as error:  # Told with the others, below.
        what = error if isinstance(error, Trouble) else traceback.format_exc()
        print(f"  FAILED {cause.__name__} ({', '.join(alerts)}): {what}", flush=True)
        running.close()


def wait_for(world, alerts, fires, within, meanwhile):
    """How long each took to fire, or not to fire any more."""
    began, took = time.monotonic(), {}
    while len(took) < len(alerts):
        meanwhile()
        now, passed = prometheus.firing(world), time.monotonic() - began
        for alert in alerts:
            if (alert in now) == fires:
                took.setdefault(alert, passed)
        if passed > within and len(took) < len(alerts):
            left = ", ".join(alert for alert in alerts if alert not in took)
            raise Trouble(f"{left} did not {'fire' if fires else 'clear'} within {within} s")
    return took


def run(world, causes, told, only):
    """Begins all of them, each in a thread."""
    chosen = [(cause, alerts) for cause, alerts in causes if not only or set(alerts) & set(only)]
    threads = [threading.Thread(target=follow, args=(world, *one, told), daemon=True) for one in chosen]
    for thread in threads:
        thread.start()
    return threads


def main():
    deploy, folder, programs, *only = sys.argv[1:]
    rules = (pathlib.Path(deploy) / "prometheus/alerts.yml").read_text()
    names = set(re.findall(r"- alert: (\w+)", rules))
    caused = {alert for stage in [BESIDE, *STAGES] for _, alerts in stage for alert in alerts}
    if names != caused:
        raise Trouble(f"alerts without a cause, or causes without an alert: {sorted(names ^ caused)}")
    world = World(folder, programs)
    deployment.start(world)
    prometheus.start(world, deploy)
    told = set()
    beside = run(world, BESIDE, told, only)
    for stage in STAGES:
        for thread in run(world, stage, told, only):
            thread.join()
    for thread in beside:
        thread.join()
    left = (set(only) or names) - told
    print(f"{len(told)} alerts fired by their causes and cleared after the mend")
    if left:
        print(f"not so: {', '.join(sorted(left))}")
        sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(f"alerts: {trouble}")
