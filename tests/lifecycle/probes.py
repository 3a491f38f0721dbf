"""The probes of one container with a kubelet's thresholds: startup first and alone, then readiness and liveness."""
import http.client
import socket
import time


def ask(probe, address, ports):
    """One httpGet or tcpSocket; True when it is good. `ports` {name: number}."""
    kind = "httpGet" if "httpGet" in probe else "tcpSocket"
    what = probe[kind]
    port = ports.get(what["port"], what["port"])
    timeout = probe.get("timeoutSeconds", 1)
    try:
        if kind == "tcpSocket":
            socket.create_connection((address, port), timeout).close()
            return True
        talk = http.client.HTTPConnection(what.get("host", address), port, timeout=timeout)
        try:
            talk.request("GET", what.get("path", "/"), headers={one["name"]: one["value"] for one in what.get("httpHeaders", ())})
            return 200 <= talk.getresponse().status < 400
        finally:
            talk.close()
    except (OSError, http.client.HTTPException):
        return False


class Probe:
    """One probe of one run of a container: `state` is None until a threshold is reached, then True or False."""

    def __init__(self, manifest, now):
        self.manifest = manifest
        self.due = now + manifest.get("initialDelaySeconds", 0)
        self.state, self._good, self._bad = None, 0, 0

    def look(self, address, ports):
        self.due = time.monotonic() + self.manifest.get("periodSeconds", 10)
        if ask(self.manifest, address, ports):
            self._good, self._bad = self._good + 1, 0
            if self._good >= self.manifest.get("successThreshold", 1):
                self.state = True
        else:
            self._good, self._bad = 0, self._bad + 1
            if self._bad >= self.manifest.get("failureThreshold", 3):
                self.state = False


class Probes:
    """All of a container. `begin()` with each start; `step()` often; `is_ready` and `must_restart` are the outcome."""

    def __init__(self, container, address):
        self._manifests = {name: container[name + "Probe"] for name in ("startup", "readiness", "liveness") if name + "Probe" in container}
        self._ports = {port["name"]: port["containerPort"] for port in container.get("ports", ()) if "name" in port}
        self._address = address
        self._probes, self.started, self.started_after = {}, False, None
        self._begun = None

    def begin(self):
        self._begun = now = time.monotonic()
        self._probes = {name: Probe(manifest, now) for name, manifest in self._manifests.items()}
        self.started = "startup" not in self._probes

    def step(self, ending=False):
        """Asks what is due; of a pod that ends only its readiness. Returns the name of the probe that demands a restart, or None."""
        now = time.monotonic()
        names = ("readiness",) if ending else ("readiness", "liveness") if self.started else ("startup",)
        for name in names:
            probe = self._probes.get(name)
            if probe is None or probe.due > now:
                continue
            probe.look(self._address, self._ports)
            if name == "startup" and probe.state:
                self.started, self.started_after = True, time.monotonic() - self._begun
            elif name != "readiness" and probe.state is False:
                return name
        return None

    @property
    def is_ready(self):
        if not self.started:
            return False
        readiness = self._probes.get("readiness")
        return True if readiness is None else readiness.state is True
