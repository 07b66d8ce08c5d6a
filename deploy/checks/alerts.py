"""Whether each alert says how bad it is and what is so, and leads to its heading in the runbook.

usage: alerts.py ALERTS RUNBOOK
"""

import pathlib
import re
import sys

import yaml

alerts, runbook = (pathlib.Path(path) for path in sys.argv[1:])
headings = re.findall(r"^## (\w+)$", runbook.read_text(), re.MULTILINE)
problems, names = [], []
for group in yaml.safe_load(alerts.read_text())["groups"]:
    for rule in group["rules"]:
        name, notes = rule["alert"], rule.get("annotations", {})
        names.append(name)
        if rule.get("labels", {}).get("severity") not in ("critical", "warning"):
            problems.append(f"{name}: its severity is neither critical nor warning")
        if not notes.get("summary"):
            problems.append(f"{name}: no summary")
        if notes.get("runbook_url") != f"deploy/runbook.md#{name.lower()}":
            problems.append(f"{name}: its runbook_url does not lead to its heading")
        if name not in headings:
            problems.append(f"{name}: no heading in the runbook")
problems += [f"{name}: a heading in the runbook, and no alert" for name in headings if name not in names]
sys.exit("\n".join(problems) or None)
