"""Whether the rights that deploy/servers gives are those that the manual says, and no others.

usage: rights.py SERVERS-FOLDER SECURITY.MD
"""

import pathlib
import re
import sys

servers, manual = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).read_text()
SAME_USER = {"member": "agent", "writer": "writer", "invalidator": "invalidator"}
problems = []


def nats_rights(text):
    """Of each user: what it may publish, and what it may subscribe to."""
    pattern = r"user: (\w+),(?:(?!user:).)*?publish: \[(.*?)\]\s*subscribe: \[(.*?)\]"
    found = re.findall(pattern, text, re.DOTALL)
    return {user: [sorted(re.findall(r'"([^"]+)"', side)) for side in sides] for user, *sides in found}


given, said = nats_rights((servers / "nats/accounts.conf").read_text()), nats_rights(manual)
for in_manual, here in SAME_USER.items():
    if given.get(here) != said[in_manual]:
        problems.append(f"NATS {here}: {given.get(here)}, and the manual says {said[in_manual]}")

files = [(servers / "redis" / name).read_text().splitlines() for name in ("users.acl", "sentinel.conf")]
lines = {line.strip() for file in files for line in file}
for line in re.findall(r"^user cacheaside.*$", manual, re.MULTILINE):
    if line not in lines:
        problems.append(f"Redis: no such line: {line}")

print("\n".join(problems))
sys.exit(bool(problems))
