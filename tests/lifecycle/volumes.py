"""The volumes of one pod as folders: ConfigMaps, Secrets, the downward API and service account tokens written as a kubelet writes them,
claims that outlive the pod, empty folders that do not. Modes and groups follow fsGroup, because the hub refuses secrets that all may read."""
import base64
import os
import pathlib
import shutil

DOWNWARD = {
    "metadata.name": lambda pod: pod.name,
    "metadata.namespace": lambda pod: pod.cluster.namespace,
    "metadata.uid": lambda pod: pod.uid,
    "spec.nodeName": lambda pod: pod.node.name,
    "spec.serviceAccountName": lambda pod: pod.spec.get("serviceAccountName", "default"),
    "status.podIP": lambda pod: pod.address,
    "status.podIPs": lambda pod: pod.address,
    "status.hostIP": lambda pod: pod.cluster.network.host,
}


def downward(pod, path):
    """The value of a fieldRef. KeyError for a field that no kubelet knows."""
    for what in ("labels", "annotations"):
        if path.startswith(f"metadata.{what}['"):
            return str(getattr(pod, what).get(path[len(f"metadata.{what}['"):-2], ""))
        if path == f"metadata.{what}":
            return "".join(f'{key}="{value}"\n' for key, value in sorted(getattr(pod, what).items()))
    return str(DOWNWARD[path](pod))


def octets_of(kind, item):
    """File name -> octets of a ConfigMap or Secret."""
    if kind == "ConfigMap":
        plain = {key: value.encode() for key, value in (item.get("data") or {}).items()}
        return {**plain, **{key: base64.b64decode(value) for key, value in (item.get("binaryData") or {}).items()}}
    coded = {key: base64.b64decode(value) for key, value in (item.get("data") or {}).items()}
    return {**coded, **{key: value.encode() for key, value in (item.get("stringData") or {}).items()}}


def _chosen(octets, source):
    """Path -> (octets, mode or None), as `items` says, else all keys."""
    if "items" not in source:
        return {key: (value, None) for key, value in octets.items()}
    return {one["path"]: (octets[one["key"]], one.get("mode")) for one in source["items"]}


def _from_source(pod, kind, source):
    """Files of one source of a projected volume, or of a volume of that kind alone."""
    if kind in ("configMap", "secret"):
        name = source.get("name") or source.get("secretName")
        item = pod.cluster.object({"configMap": "ConfigMap", "secret": "Secret"}[kind], name)
        if item is None:
            if source.get("optional"):
                return {}
            raise KeyError(f"pod {pod.name}: there is no {kind} {name}")
        return _chosen(octets_of(item["kind"], item), source)
    if kind == "downwardAPI":
        return {one["path"]: (downward(pod, one["fieldRef"]["fieldPath"]).encode(), one.get("mode")) for one in source["items"]}
    if kind == "serviceAccountToken":
        return {source["path"]: (pod.cluster.api.token(pod.spec.get("serviceAccountName", "default")).encode(), None)}
    raise KeyError(f"pod {pod.name}: volumes of the kind {kind} are not emulated")


def _write(folder, files, default_mode, group):
    """As the kubelet does it: files in a folder of their own, `..data` leads to it, links lead through `..data`."""
    data = folder / "..2026_01"
    data.mkdir(parents=True)
    os.symlink(data.name, folder / "..data")
    for path, (octets, mode) in files.items():
        file = data / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(octets)
        # With fsGroup the group may read whatever the mode says.
        file.chmod((mode if mode is not None else default_mode) | (0o440 if group is not None else 0))
        if group is not None:
            os.chown(file, 0, group)
        top = pathlib.Path(path).parts[0]
        if not (folder / top).is_symlink():
            os.symlink(f"..data/{top}", folder / top)


def _own(folder, group):
    """fsGroup of a volume that is written to."""
    if group is None:
        folder.chmod(0o777)
        return
    for one in (folder, *folder.rglob("*")):
        if not one.is_symlink():
            os.chown(one, -1, group)
            one.chmod(one.stat().st_mode | (0o2770 if one.is_dir() else 0o660))


def make(pod, folder):
    """Volume name -> folder, for everything that the pod mounts. `folder` is the pod's own and goes with it."""
    group = (pod.spec.get("securityContext") or {}).get("fsGroup")
    made = {}
    for template in pod.cluster.claims_of(pod):
        name = template["metadata"]["name"]
        made[name] = pod.cluster.disks / f"{name}-{pod.name}"
        made[name].mkdir(parents=True, exist_ok=True)
        _own(made[name], group)
    for volume in pod.spec.get("volumes") or ():
        (kind,) = (key for key in volume if key != "name")
        place, source = folder / volume["name"], volume[kind]
        shutil.rmtree(place, ignore_errors=True)
        if kind == "emptyDir":
            place.mkdir(parents=True)
            _own(place, group)
        elif kind == "projected":
            files = {}
            for one in source["sources"]:
                (inner,) = one
                files.update(_from_source(pod, inner, one[inner]))
            _write(place, files, source.get("defaultMode", 0o644), group)
        else:
            _write(place, _from_source(pod, kind, source), source.get("defaultMode", 0o644), group)
        made[volume["name"]] = place
    return made
