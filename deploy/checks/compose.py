"""What Compose itself does not look at.

usage: compose.py FILE        as `docker compose config --format json` prints it
"""

import json
import pathlib
import sys

services = json.load(open(sys.argv[1]))["services"]
HAS_HEALTHCHECK = {"cache-agent"}  # in its image
OURS = {"capture", "invalidator", "cache-agent", "watcher"}
problems = []


def check(name, holds, problem):
    if not holds:
        problems.append(f"{name}: {problem}")


for name, service in services.items():
    for port in service.get("ports", []):
        check(name, port.get("host_ip") == "127.0.0.1", f"port {port['published']} is not of loopback alone")
    image, _, tag = service["image"].rpartition(":")
    check(name, image and tag != "latest" and "/" not in tag, f"image {service['image']} may change")
    for volume in service.get("volumes", []):
        if volume["type"] == "bind":
            check(name, pathlib.Path(volume["source"]).exists(), f"{volume['source']} is not there")
            check(name, volume.get("read_only"), f"{volume['target']} may be written")
    for other, wait in service.get("depends_on", {}).items():
        healthy = services[other].get("healthcheck", {})
        can_tell = healthy.get("test") or other in HAS_HEALTHCHECK
        check(name, wait["condition"] != "service_healthy" or can_tell, f"{other} cannot tell how it is")
        ends = not services[other].get("restart")
        check(name, wait["condition"] != "service_completed_successfully" or ends, f"{other} never ends")
    if name in OURS:
        check(name, service.get("cap_drop") == ["ALL"], "cap_drop is not ALL")
        check(name, service.get("read_only"), "it may write its root")
        check(name, service.get("stop_grace_period") == "40s", "a drain may take 40 s")

nodes = [name for name, service in services.items() if "cluster.conf" in str(service.get("command"))]
check("redis", len(nodes) == 6, f"{len(nodes)} nodes")
wanted = services["redis-init"]["environment"]["NODES"].split()
found = [f"{services[node]['networks']['main']['ipv4_address']}:6379" for node in nodes]
check("redis-init", sorted(wanted) == sorted(found), f"it joins {wanted}, and there are {found}")

print("\n".join(problems))
sys.exit(bool(problems))
