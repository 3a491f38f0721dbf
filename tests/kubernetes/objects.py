"""What the test brings to the cluster beside the chart: a next hop, a client, and disks where the cluster makes none."""

FILES = {"name": "files", "command": ["/usr/bin/sleep", "1000000"]}  # to read ledgers by, and to end the client and the next hop in order


def _pod(name, image, node, command):
    one = {"image": image, "imagePullPolicy": "Never", "volumeMounts": [{"name": "ledger", "mountPath": "/ledger"}],
           "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"test": name}},
            "spec": {"restartPolicy": "Never", "shareProcessNamespace": True, "terminationGracePeriodSeconds": 5, "automountServiceAccountToken": False,
                     "securityContext": {"runAsNonRoot": True, "runAsUser": 10025, "runAsGroup": 10025, "fsGroup": 10025},
                     **({"nodeName": node} if node else {}), "volumes": [{"name": "ledger", "emptyDir": {}}],
                     "containers": [{"name": name, "command": command, **one}, {**FILES, **one}]}}


def sink(image, node):
    """A next hop that takes its time and puts off a third of what it is offered: hubs have mail on its way and mail that waits."""
    command = ["/usr/bin/umbra-load", "sink", "--listen", "0.0.0.0:2600", "--ledger", "/ledger/sink", "--delay", "250", "--odds-4xx", "0.3", "--quiet"]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "sink"}, "spec": {"selector": {"test": "sink"}, "ports": [{"port": 2600}]}}
    return [service, _pod("sink", image, node, command)]


def source(image, node, address, rate):
    """A client that sends through the client service until it is ended, on a connection for each message: all hubs get their share."""
    command = ["/usr/bin/umbra-load", "source", "--to", address, "--ledger", "/ledger/source", "--sessions", "12", "--messages", "9000000", "--rate", str(rate),
               "--fresh-connections", "--give-up-ms", "240000", "--timeout-ms", "5000", "--quiet"]
    return [_pod("source", image, node, command)]


def local_volumes(namespace, folder, nodes, count):
    """Disks for the hubs, for a cluster whose nodes all see `folder` of this machine (as kube-up's do). Ordinal i stays on node i mod n."""
    found = []
    for i in range(count):
        place = folder / f"disk-{i}"
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(0o2777)
        host = {"key": "kubernetes.io/hostname", "operator": "In", "values": [nodes[i % len(nodes)]]}
        found.append({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"{namespace}-{i}"},
                      "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "",
                               "claimRef": {"namespace": namespace, "name": f"spool-umbra-{i}"}, "local": {"path": str(place)},
                               "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [host]}]}}}})
    return found
