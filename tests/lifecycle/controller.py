"""What the StatefulSet controller does: pods by ordinal, Parallel or OrderedReady, from the highest ordinal down in a rolling update,
waiting for readiness and minReadySeconds; and what the node controller does with the pods of a node that is gone."""
import hashlib
import json
import threading
import time
import traceback

from kubelet import Pod


class Controller:
    def __init__(self, cluster):
        self.cluster = cluster
        self.pods = {}  # name -> Pod, what the API server has
        self.replicas, self.manifest, self.revision = 0, None, None
        self.stopping, self.problem = False, None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def apply(self, manifest):
        with self._lock:
            self.manifest = manifest
            self.replicas = manifest["spec"].get("replicas", 1)
            self.revision = hashlib.sha256(json.dumps(manifest["spec"]["template"], sort_keys=True).encode()).hexdigest()[:10]

    def scale(self, replicas):
        with self._lock:
            self.replicas = replicas

    @property
    def first(self):
        return (self.manifest["spec"].get("ordinals") or {}).get("start", 0)

    def wanted(self):
        """The names of the pods that there should be."""
        return [f"{self.manifest['metadata']['name']}-{i}" for i in range(self.first, self.first + self.replicas)]

    def is_settled(self):
        """All that should be there are ready and of the present revision, and no other is there."""
        with self._lock:
            pods = dict(self.pods)
            wait = self.manifest["spec"].get("minReadySeconds", 0)
            return set(pods) == set(self.wanted()) and all(pod.is_available(wait) and pod.revision == self.revision for pod in pods.values())

    def stop(self):
        self.stopping = True
        self._thread.join(10)

    def _run(self):
        while not self.stopping:
            try:
                with self._lock:
                    if self.manifest:
                        self._reconcile()
            except Exception:
                self.problem = traceback.format_exc()
            time.sleep(0.05)

    def _reconcile(self):
        spec = self.manifest["spec"]
        in_order = spec.get("podManagementPolicy", "OrderedReady") == "OrderedReady"
        for name, pod in list(self.pods.items()):
            if pod.is_gone:
                del self.pods[name]
        wanted = self.wanted()
        for i, name in enumerate(wanted):
            if name not in self.pods:
                self._create(name, self.first + i)
            if in_order and not self.pods[name].is_available(spec.get("minReadySeconds", 0)):
                return
        condemned = sorted((pod for name, pod in self.pods.items() if name not in wanted), key=lambda pod: -pod.ordinal)
        for pod in condemned:
            pod.delete()
            if in_order:
                return
        strategy = spec.get("updateStrategy") or {}
        if strategy.get("type", "RollingUpdate") != "RollingUpdate":
            return
        last = (strategy.get("rollingUpdate") or {}).get("partition", 0)
        # An update goes one at a time whatever the policy is.
        for name in reversed(wanted):
            pod = self.pods[name]
            if pod.ordinal < last:
                return
            if pod.revision != self.revision and pod.deleted_at is None:
                pod.delete()
                return
            if not pod.is_available(spec.get("minReadySeconds", 0)):
                return

    def _create(self, name, ordinal):
        alive = [node for node in self.cluster.nodes if node.is_alive]
        node = min(alive, key=lambda one: (sum(pod.node is one for pod in self.pods.values()), one.name))
        self.pods[name] = Pod(self.cluster, name, self.manifest["spec"]["template"], self.revision, node, ordinal=ordinal)
