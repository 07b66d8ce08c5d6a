"""What the schemas of Kubernetes do not look at.

usage: manifests.py FILE FOLDER     rendered manifests; where the settings in them are put
"""

import pathlib
import sys

import yaml

kinds = {}
for document in yaml.safe_load_all(open(sys.argv[1])):
    if document:
        kinds.setdefault(document["kind"], []).append(document)
settings = pathlib.Path(sys.argv[2])
problems = []
GRACE = {"invalidator": 40, "capture": 30}  # seconds that ending may take


def check(what, holds, problem):
    if not holds:
        problems.append(f"{what}: {problem}")


def fits(selector, labels):
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def of_container(what, container, pod):
    own, shared = container.get("securityContext", {}), pod.get("securityContext", {})
    both = shared | own
    check(what, both.get("runAsNonRoot") is True, "runAsNonRoot")
    check(what, both.get("seccompProfile", {}).get("type") == "RuntimeDefault", "seccompProfile")
    check(what, own.get("readOnlyRootFilesystem") is True, "readOnlyRootFilesystem")
    check(what, own.get("allowPrivilegeEscalation") is False, "allowPrivilegeEscalation")
    check(what, own.get("capabilities", {}).get("drop") == ["ALL"], "capabilities are not dropped")
    resources = container.get("resources", {})
    check(what, "memory" in resources.get("limits", {}), "no limit of memory")
    check(what, {"cpu", "memory"} <= set(resources.get("requests", {})), "no requests of cpu and memory")
    tag = container["image"].rpartition(":")[2]
    check(what, "/" not in tag and tag not in ("latest", container["image"]), f"image {container['image']} may change")
    ports = {port["name"] for port in container.get("ports", [])}
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        port = container.get(probe, {}).get("httpGet", {}).get("port")
        check(what, port is None or port in ports, f"{probe} asks no port {port}")
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    for mount in container.get("volumeMounts", []):
        check(what, mount["name"] in volumes, f"mounts {mount['name']}, which is no volume")


config_maps = {map["metadata"]["name"] for map in kinds.get("ConfigMap", [])}
for deployment in kinds["Deployment"]:
    name, template = deployment["metadata"]["name"], deployment["spec"]["template"]
    pod, labels = template["spec"], template["metadata"]["labels"]
    check(name, fits(deployment["spec"]["selector"], labels), "its selector does not fit its pods")
    check(name, pod.get("automountServiceAccountToken") is False, "it is given a token of the cluster")
    least = GRACE.get(labels["app.kubernetes.io/name"], 0)
    check(name, pod.get("terminationGracePeriodSeconds", 30) >= least, f"terminationGracePeriodSeconds is under {least}")
    for container in pod["containers"]:
        of_container(f"{name}/{container['name']}", container, pod)
    for container in pod.get("initContainers", []):
        what = f"{name}/{container['name']}"
        of_container(what, container, pod)
        stays = container.get("restartPolicy") == "Always" and "startupProbe" in container
        check(what, stays or "serve" not in container.get("args", []), "it serves, so the application never starts")
    for volume in pod.get("volumes", []):
        if "configMap" in volume:
            named = volume["configMap"]["name"]
            check(name, named in config_maps, f"there is no ConfigMap {named}")

pods = [deployment["spec"]["template"] for deployment in kinds["Deployment"]]
for kind, where in {"PodDisruptionBudget": "selector", "NetworkPolicy": "podSelector", "PodMonitor": "selector"}.items():
    for one in kinds.get(kind, []):
        what = f"{kind} {one['metadata']['name']}"
        chosen = [pod for pod in pods if fits(one["spec"][where], pod["metadata"]["labels"])]
        check(what, chosen, "selects nothing")
        ports = {p["name"] for pod in chosen for c in pod["spec"]["containers"] for p in c.get("ports", [])}
        wanted = [end["port"] for end in one["spec"].get("podMetricsEndpoints", [])]
        wanted += [p["port"] for rule in one["spec"].get("ingress", []) for p in rule["ports"]]
        for port in wanted:
            check(what, port in ports, f"no port {port}")

settings.mkdir(parents=True, exist_ok=True)
for map in kinds.get("ConfigMap", []):
    for file, text in map["data"].items():
        (settings / f"{map['metadata']['name']}-{file}").write_text(text)
print("\n".join(problems))
sys.exit(bool(problems))
