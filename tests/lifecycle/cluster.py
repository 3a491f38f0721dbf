"""An emulated cluster: nodes, network, DNS, API server, controller, services, and disks that outlive pods. It is no Kubernetes: see
docs/lifecycle-emulator.md for what is emulated and what is not. Needs root, for namespaces and mounts."""
import itertools
import json
import pathlib
import shutil
import subprocess
import threading
import time

import image
from api_server import ApiServer
from controller import Controller
from kubelet import Pod
from lab.process import wait_until
from namespaces import Network, _run
from service import Services

CLIENT = "192.0.2.10"  # where the load comes from: no address of pods or nodes


class Node:
    """`is_known_ready` is what the API server believes; it learns of a loss late."""

    def __init__(self, name):
        self.name, self.is_alive, self.is_known_ready = name, True, True


class Cluster:
    def __init__(self, folder, *, nodes=3, namespace="mail", lag=1.0):
        self.folder = pathlib.Path(folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.namespace, self.disks = namespace, self.folder / "disks"
        self.nodes = [Node(f"node-{i}") for i in range(nodes)]
        self.pod_numbers = itertools.count(20)
        self.endings, self.extra, self.manifests, self.test_pods = [], [], None, []
        self.controller = self.services = self.api = None
        self.network = Network()
        try:
            # Else a bridge has the lowest address of its ports, another one whenever a pod goes, and pods look for the old one for half a minute.
            _run("ip", "link", "set", "bridge0", "address", "02:00:0a:4d:00:01")
            for address in (CLIENT, "10.96.0.1"):
                _run("ip", "address", "add", f"{address}/32", "dev", "bridge0")
            # What goes to a service is turned to a pod on its way out; the route only has to exist, and names the client's address.
            _run("ip", "route", "add", "10.96.0.0/16", "dev", "bridge0", "src", CLIENT)
            pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            # A service without pods behind it refuses, as kube-proxy has it.
            refuse = "".join(f"-A {chain} -d 10.96.0.0/16 -p tcp -j REJECT --reject-with tcp-reset\n" for chain in ("OUTPUT", "FORWARD"))
            rules = f"*nat\n:SERVICES - [0:0]\n-A OUTPUT -j SERVICES\n-A PREROUTING -j SERVICES\nCOMMIT\n*filter\n{refuse}COMMIT\n"
            subprocess.run(["iptables-restore", "-w"], input=rules, text=True, check=True, capture_output=True, timeout=20)
            self.image = image.build(self.folder / "image")
            self.services = Services(self, lag)
            self.api = ApiServer(self).start()
            self.controller = Controller(self)
        except BaseException:
            self.close()
            raise

    def say(self, text):
        print(f"    {text}", flush=True)

    # -- what the API server has ---------------------------------------------------------------------------------------------

    def add(self, *objects):
        """Objects that the chart does not make (a Secret that it only names)."""
        self.extra += objects

    def objects_of(self, kind):
        return [*(self.manifests.of(kind) if self.manifests else ()), *(one for one in self.extra if one["kind"] == kind)]

    def object(self, kind, name):
        for one in self.objects_of(kind):
            if one["metadata"]["name"] == name:
                return one
        return None

    def known_pods(self):
        return [*self.controller.pods.values(), *self.test_pods] if self.controller else []

    def claims_of(self, pod):
        return (self.controller.manifest["spec"].get("volumeClaimTemplates") or ()) if pod.ordinal is not None else ()

    def headless_domain(self, pod):
        return f"{pod.spec.get('subdomain') or self.controller.manifest['spec'].get('serviceName', '')}.{self.namespace}.svc.cluster.local"

    def apply(self, manifests):
        self.manifests = manifests
        self.services.apply(manifests.of("Service"))
        self.controller.apply(manifests.stateful_set)

    def pod(self, ordinal):
        return self.controller.pods[f"{self.controller.manifest['metadata']['name']}-{ordinal}"]

    def disk(self, ordinal):
        """The folders of the claims of an ordinal, whether it has a pod or not."""
        return sorted(self.disks.glob(f"*-{self.controller.manifest['metadata']['name']}-{ordinal}"))

    # -- waiting -------------------------------------------------------------------------------------------------------------

    def check(self):
        """Raises what went wrong in one of the threads."""
        for one in (self.controller, self.services, *self.known_pods()):
            if one.problem:
                raise RuntimeError(one.problem)

    def state(self):
        def of(pod):
            return f"{pod.name} {'ready' if pod.is_ready else 'not ready'}" + (", ending" if pod.deleted_at else "") + (f", {pod.restarts} restarts" if pod.restarts else "")
        return "; ".join(map(of, self.controller.pods.values())) or "no pods"

    def wait(self, condition, seconds, what):
        def good():
            self.check()
            return condition()
        wait_until(good, seconds, lambda: f"{what}: {self.state()}")

    def wait_settled(self, seconds):
        """Seconds until the StatefulSet is as its manifest says."""
        begun = time.monotonic()
        self.wait(self.controller.is_settled, seconds, "a settled StatefulSet")
        return time.monotonic() - begun

    # -- nodes ---------------------------------------------------------------------------------------------------------------

    def lose(self, node, *, noticed_after=8.0):
        """A node vanishes with its pods, at once. After `noticed_after` seconds the control plane marks it and orders its pods to end: they
        stay Terminating, since nobody is there to end them."""
        node.is_alive = False
        lost = [pod for pod in self.controller.pods.values() if pod.node is node]
        for pod in lost:
            pod.vanish()

        def notice():
            time.sleep(noticed_after)
            node.is_known_ready = False
            for pod in lost:
                pod.delete()
        threading.Thread(target=notice, daemon=True).start()
        return lost

    def bring_back(self, node, lost):
        """The node is there again: what it had is gone for good, and the controller makes the pods anew, with their disks."""
        node.is_alive = node.is_known_ready = True
        for pod in lost:
            pod.forget()

    # -- commands ------------------------------------------------------------------------------------------------------------

    def umbra(self, pod, *words, seconds=30):
        """JSON of an operator's command, run in the pod."""
        code, said = pod.exec([*image.entry_point()[:1], *words, "--output", "json"], seconds)
        if code != 0:
            raise RuntimeError(f"umbra {' '.join(words)} in {pod.name}: exit {code}: {said}")
        return json.loads(said)

    def run_test(self, manifest, seconds=120):
        """One pod of `helm test`, to its end. Gives (exit code, output)."""
        template = {"metadata": manifest["metadata"], "spec": {**manifest["spec"], "restartPolicy": "Never"}}
        pod = Pod(self, manifest["metadata"]["name"], template, "test", self.nodes[0])
        self.test_pods.append(pod)
        try:
            wait_until(lambda: pod.is_gone or pod.problem, seconds, f"the end of test pod {pod.name}")
            code = None if pod.problem or pod._runner is None else pod._runner.returncode
            return code, pod.problem or pod.log.read_text(errors="replace")
        finally:
            self.test_pods.remove(pod)

    def close(self):
        if self.controller:
            self.controller.stop()
            for pod in list(self.controller.pods.values()):
                pod.vanish()
        if self.api:
            self.api.stop()
        if self.services:
            self.services.stop()
        self.network.close()
