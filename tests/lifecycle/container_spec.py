"""From a container of a pod's manifest to what container.py needs: command, environment, user, mounts."""
import re

import image
import volumes

TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"


def expand(text, environment):
    """$(NAME) as in a manifest; what is not known stays, $$ is one $."""
    return re.sub(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.]*)\)",
                  lambda found: "$" if found.group(0) == "$$" else environment.get(found.group(1), found.group(0)), text)


def _value_from(pod, source):
    (kind,) = source
    inner = source[kind]
    if kind == "fieldRef":
        return volumes.downward(pod, inner["fieldPath"])
    if kind in ("secretKeyRef", "configMapKeyRef"):
        item = pod.cluster.object("Secret" if kind == "secretKeyRef" else "ConfigMap", inner["name"])
        if item is None and inner.get("optional"):
            return None
        return volumes.octets_of(item["kind"], item)[inner["key"]].decode()
    if kind == "resourceFieldRef":
        raise KeyError(f"pod {pod.name}: resourceFieldRef is not emulated")
    raise KeyError(f"pod {pod.name}: the environment from {kind} is not emulated")


def environment(pod, container):
    # What every pod is told of the API server.
    found = {"HOSTNAME": pod.name, "KUBERNETES_SERVICE_HOST": pod.cluster.api.host, "KUBERNETES_SERVICE_PORT": str(pod.cluster.api.port)}
    for one in container.get("env") or ():
        value = one.get("value", "") if "valueFrom" not in one else _value_from(pod, one["valueFrom"])
        if value is not None:
            found[one["name"]] = expand(str(value), found)
    return found


def _mounts(pod, container, made):
    found = []
    # A kubelet mounts these read-only whatever the manifest says.
    fixed = {one["name"] for one in pod.spec.get("volumes") or () if {"configMap", "secret", "downwardAPI", "projected"} & set(one)}
    for one in container.get("volumeMounts") or ():
        source = made[one["name"]]
        if one.get("subPath"):
            source = source / one["subPath"]
        found.append({"from": str(source.resolve()), "to": one["mountPath"].rstrip("/"), "read_only": bool(one.get("readOnly")) or one["name"] in fixed})
    if pod.has_token and not any(one["to"] == TOKEN_FOLDER for one in found):
        found.append({"from": str(pod.token_folder), "to": TOKEN_FOLDER, "read_only": True})
    for name in ("hosts", "resolv.conf", "hostname"):
        found.append({"from": str(pod.folder / name), "to": f"/etc/{name}", "read_only": True})
    found.append({"from": str(pod.termination_file(container)), "to": container.get("terminationMessagePath", "/dev/termination-log"), "read_only": False})
    # The outer ones first.
    return sorted(found, key=lambda one: one["to"].count("/"))


def make(pod, container, made):
    """The description for container.py. ValueError where a kubelet would refuse to start it."""
    of_pod, own = pod.spec.get("securityContext") or {}, container.get("securityContext") or {}
    user = own.get("runAsUser", of_pod.get("runAsUser", image.USER))
    if own.get("runAsNonRoot", of_pod.get("runAsNonRoot")) and user == 0:
        raise ValueError(f"pod {pod.name}: runAsNonRoot, and the user is 0")
    group = own.get("runAsGroup", of_pod.get("runAsGroup", image.USER))
    groups = {group, *of_pod.get("supplementalGroups", ())} | ({of_pod["fsGroup"]} if "fsGroup" in of_pod else set())
    known = environment(pod, container)
    command = [*container.get("command", image.entry_point()), *(container.get("args") or ())]
    place = pod.folder / container["name"]
    place.mkdir(parents=True, exist_ok=True)
    return {
        "network": str(pod.network_file), "host_name": pod.name, "root": str(place / "root"), "image": str(pod.cluster.image),
        "read_only": bool(own.get("readOnlyRootFilesystem")), "mounts": _mounts(pod, container, made),
        "uid": user, "gid": group, "groups": sorted(groups), "env": known, "argv": [expand(word, known) for word in command],
        "directory": container.get("workingDir", "/"), "drop": (own.get("capabilities") or {}).get("drop", []),
        "no_new_privileges": own.get("allowPrivilegeEscalation") is False, "pid_file": str(place / "pid"),
    }
