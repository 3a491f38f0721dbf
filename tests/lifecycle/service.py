"""Services as a node sees them: the addresses behind them, which change some seconds after the pods do, the packet filter that picks one
for each connection (as kube-proxy has the kernel do it), and the names that the cluster's DNS gives.

A connection that is open stays where it is. While no pod is ready, those that end but still answer are used, as from Kubernetes 1.26 on.
"""
import subprocess
import threading
import time

from lab.name_server import NameServer

FIRST_ADDRESS = 10  # 10.96.0.10 and on for services


class Services:
    def __init__(self, cluster, lag):
        self.cluster, self.lag = cluster, lag
        self.manifests, self.addresses = [], {}
        self.names = NameServer(53, host=cluster.network.host)
        self.problem, self.changes = None, []
        self._history, self._in_force, self._stopping = [], None, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def apply(self, manifests):
        for one in manifests:
            name = one["metadata"]["name"]
            if one["spec"].get("clusterIP") != "None" and name not in self.addresses:
                self.addresses[name] = f"10.96.0.{FIRST_ADDRESS + len(self.addresses)}"
        self.manifests = list(manifests)

    def address(self, name, port):
        """HOST:PORT of a service, by the name or number of its port."""
        (service,) = [one for one in self.manifests if one["metadata"]["name"] == name]
        (found,) = [one["port"] for one in service["spec"]["ports"] if port in (one.get("name"), one["port"])]
        return f"{self.addresses[name]}:{found}"

    def stop(self):
        self._stopping = True
        self._thread.join(5)
        self.names.stop()

    def _selected(self, service):
        wanted = service["spec"].get("selector") or {}
        return [pod for pod in self.cluster.known_pods() if pod.address and all(pod.labels.get(key) == value for key, value in wanted.items())]

    def _look(self):
        """What the API server has now: name -> [(pod name, address, ports by name)]."""
        found = {}
        for service in self.manifests:
            pods = self._selected(service)
            ready = [pod for pod in pods if pod.is_ready and pod.deleted_at is None and pod.node.is_known_ready]
            if service["spec"].get("publishNotReadyAddresses"):
                used = pods
            else:
                used = ready or [pod for pod in pods if pod.is_ready and pod.node.is_known_ready]
            found[service["metadata"]["name"]] = [
                (pod.name, pod.address, {port.get("name"): port["containerPort"] for port in pod.spec["containers"][0].get("ports", ())})
                for pod in sorted(used, key=lambda pod: pod.ordinal or 0)]
        return found

    def _run(self):
        while not self._stopping:
            try:
                now = time.monotonic()
                self._history.append((now, self._look()))
                while len(self._history) > 1 and self._history[1][0] <= now - self.lag:
                    self._history.pop(0)
                known = self._history[0][1]
                if known != self._in_force and self.manifests:
                    self._publish(known)
                    self._in_force = known
                    self.changes.append((now, {name: [pod for pod, _, _ in pods] for name, pods in known.items()}))
            except Exception as error:  # shown by the run, which ends then
                self.problem = f"{type(error).__name__}: {error}"
            time.sleep(0.05)

    def _publish(self, known):
        rules, addresses, records = [], {}, {}
        for service in self.manifests:
            name, spec = service["metadata"]["name"], service["spec"]
            domain = f"{name}.{self.cluster.namespace}.svc.cluster.local"
            pods = known.get(name, [])
            if name in self.addresses:
                addresses[domain] = [self.addresses[name]]
                for port in spec["ports"]:
                    rules += self._rules(self.addresses[name], port, pods)
            else:
                addresses[domain] = [address for _, address, _ in pods]
            for pod, address, ports in pods:
                addresses[f"{pod}.{domain}"] = [address]
            for port in spec["ports"]:
                if "name" in port:
                    records[f"_{port['name']}._tcp.{domain}"] = [
                        (self._target(port, ports), f"{pod}.{domain}" if name not in self.addresses else domain) for pod, _, ports in pods]
        self.names.addresses, self.names.services = addresses, records
        text = "*nat\n:SERVICES - [0:0]\n" + "\n".join(rules) + "\nCOMMIT\n"
        subprocess.run(["iptables-restore", "-w", "--noflush"], input=text, text=True, check=True, capture_output=True, timeout=20)

    @staticmethod
    def _target(port, ports):
        target = port.get("targetPort", port["port"])
        return ports.get(target, target)

    def _rules(self, address, port, pods):
        """Each pod with the same odds; a closed port when there is none (nothing listens at the service's own address)."""
        rules = []
        for i, (_, host, ports) in enumerate(pods):
            odds = f" -m statistic --mode random --probability {1 / (len(pods) - i):.6f}" if i + 1 < len(pods) else ""
            rules.append(f"-A SERVICES -d {address}/32 -p tcp --dport {port['port']}{odds} -j DNAT --to-destination {host}:{self._target(port, ports)}")
        return rules
