"""Hubs: one process with its folder, and clusters of them on loopback."""
import csv
import json
import pathlib
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

from . import places
from .process import Process, wait_until


# How full the disk of this machine is decides no test.
OFF = {"medium": 101, "high": 101, "leave_high": 101, "leave_medium": 101}
NO_PRESSURE = {"disk": OFF, "log_disk": OFF, "inodes": OFF}


class Hub:
    """One hub. Its folder holds config, spool, log and admin socket; the spool survives kill() and start(). It listens
    at `host`; `wrapper` are words before its command line (a network namespace, a clock of its own)."""

    def __init__(self, folder, name, routes, *, shadow="none", networks=("127.0.0.0/8",), members=None, secret=None, lease="10s",
                 limits=None, delivery=None, reserve="50MB", spool=None, cluster=None, level="info", tls=None,
                 listener=None, zone=None, host="127.0.0.1", wrapper=(), safety_net=None, pressure=None, throttling=(), bounce_profiles=(), filters=(), logs=None, admin=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.port = places.free_port()
        self.admin_port = places.free_port()
        self.cluster_port = places.free_port() if members is not None else None
        self.socket = self.folder / "admin.sock"
        if len(str(self.socket)) > 100:
            # The kernel takes 107 octets for the name of a Unix socket, and checkouts lie deep at times.
            self.socket = pathlib.Path(tempfile.mkdtemp(prefix="umbra-")) / "admin.sock"
        self.spool = pathlib.Path(spool) if spool else self.folder / "spool"
        self.log = self.folder / "hub.log"
        self.config = self.folder / "hub.yaml"
        self.process = None
        self._settings = dict(routes=routes, shadow=shadow, networks=networks, secret=secret, lease=lease, limits=limits or {},
                              delivery=delivery or {}, reserve=reserve, cluster=cluster or {}, level=level, tls=tls, listener=listener or {},
                              safety_net=safety_net, pressure=pressure or NO_PRESSURE, throttling=throttling,
                              bounce_profiles=bounce_profiles, filters=filters, logs=logs, admin=admin or {})
        self.zone = zone
        self.host, self.wrapper = host, wrapper
        self.program = places.UMBRA
        self.members = members
        self.cluster_address = f"{host}:{self.cluster_port}"
        self.resolver = None  # the address of a name server; else the system's

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def certify(self, pem, authority):
        """For the next start: a certificate (and key) of that authority instead of the cluster's secret."""
        cluster = {**self._settings["cluster"], "tls": {"certificate": str(pem), "ca": str(authority.pem)}}
        self._settings.update(secret=None, cluster=cluster)

    def write_config(self):
        # JSON is YAML: nothing to quote by hand.
        s = self._settings
        listener = {"name": "default", "address": self.address, "networks": list(s["networks"]), "shadow": s["shadow"],
                    "tarpit": "0s", **s["listener"]}
        if s["limits"]:
            listener["limits"] = s["limits"]
        if s["tls"]:
            listener["tls"] = s["tls"]
        config = {
            "hub": {"name": self.name, "host_name": f"{self.name}.example"},
            "spool": {"directory": str(self.spool), "reserve": s["reserve"]},
            "listeners": [listener],
            "routes": s["routes"],
            "admin": {"socket": str(self.socket), "address": f"{self.host}:{self.admin_port}", **s["admin"]},
            "log": {"level": s["level"], "file": str(self.log), "file_size": "1GiB"},
            "pressure": s["pressure"],
        }
        if s["throttling"]:
            config["throttling_policies"] = list(s["throttling"])
        if s["bounce_profiles"]:
            config["bounce_profiles"] = list(s["bounce_profiles"])
        if s["filters"]:
            config["content_filters"] = list(s["filters"])
        if s["delivery"]:
            config["delivery"] = s["delivery"]
        if s["logs"]:
            config["logs"] = s["logs"]
        if s["safety_net"]:
            config["safety_net"] = s["safety_net"]
        if self.members is not None:
            config["cluster"] = {
                "address": self.cluster_address,
                **({"secret_file": str(s["secret"])} if s["secret"] else {}),
                "lease": s["lease"],
                "members": [{"name": m.name, "address": f"{m.host}:{m.cluster_port}", **({"zone": m.zone} if m.zone else {})}
                            for m in self.members],
                **s["cluster"],
            }
            if "discovery" in s["cluster"]:
                del config["cluster"]["members"]
        if self.resolver:
            config["resolver"] = {"servers": [self.resolver], "timeout": "2s"}
        self.config.write_text(json.dumps(config, indent=2) + "\n")

    def start(self, wait=True, wrapper=()):
        self.spool.mkdir(parents=True, exist_ok=True)
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        self.write_config()
        self.process = Process([self.program, "run", "--config", self.config], self.folder / "hub.out", wrapper=wrapper or self.wrapper)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=30):
        def ready_or_dead():
            if not self.process.alive():
                raise RuntimeError(f"{self.name} ended with {self.process.popen.returncode}: {self.process.said()[-2000:]}")
            return self.ready()
        wait_until(ready_or_dead, seconds, lambda: f"{self.name} ready; it said: {self.process.said()[-2000:]}")

    def ready(self):
        return self.http("/healthz/ready")[0] == 200

    def http(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.host}:{self.admin_port}{path}", timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name):
        """The value of one metric, summed over its series; 0 when there is none."""
        total = 0.0
        for line in self.http("/metrics")[1].splitlines():
            if line.startswith(name) and line[len(name):len(name) + 1] in (" ", "{"):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def umbra(self, *arguments, check=True):
        """Runs an operator's command against this hub; gives the finished process with text in stdout and stderr."""
        argv = [str(places.UMBRA), *map(str, arguments), "--socket", str(self.socket)]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=check)

    def status(self):
        return json.loads(self.umbra("status", "--output", "json").stdout)

    def queue(self):
        """The messages of this hub, as `umbra queue list` gives them."""
        return json.loads(self.umbra("queue", "list", "--output", "json").stdout)["messages"]

    def counts(self):
        """{"messages", "held", "ceded", "unprotected", "shadows", "outbox"}: what is in the spool."""
        status = self.status()
        return {"ceded": 0, **status["queue"], "shadows": status["shadows"], "outbox": status["discards_owed"]}

    def empty(self, ignored=()):
        """No message, no shadow and no discard status is left here."""
        counts = self.counts()
        return all(counts[name] == 0 for name in ("messages", "ceded", "shadows", "outbox") if name not in ignored)

    def wait_empty(self, seconds):
        wait_until(self.empty, seconds, lambda: f"{self.name} empty: {self.counts()}", pause=0.1)

    def events(self, kind=None):
        """The message events in the log, oldest first."""
        if not self.log.exists():
            return []
        found = []
        with open(self.log, errors="replace") as lines:
            for line in lines:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if "event" in event and (kind is None or event["event"] == kind):
                    found.append(event)
        return found

    def records(self, prefix="MSGTRK", folder=None):
        """The records of one kind of record log in CSV, oldest first: field -> value."""
        found = []
        for file in sorted(pathlib.Path(folder or self.spool / "logs").glob(prefix + "*.log")):
            lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
            names = next(line for line in lines if line.startswith("#Fields: "))[len("#Fields: "):].rstrip("\n").split(",")
            for values in csv.reader(line for line in lines if not line.startswith("#")):
                assert len(values) == len(names), values
                found.append(dict(zip(names, values)))
        return found

    def kill(self):
        self.process.kill()

    def throw_disk_away(self):
        shutil.rmtree(self.spool)

    def stop(self, seconds=30):
        code = self.process.stop(seconds) if self.process else None
        if self.socket.parent != self.folder:
            shutil.rmtree(self.socket.parent, ignore_errors=True)
        return code


def route_to(*addresses, name="all", domains=("*",), connections=20, **more):
    return {"name": name, "domains": list(domains), "hosts": list(addresses), "connections": connections, **more}


class Cluster:
    """`size` hubs that protect one another's mail. `at(name)` gives more options for a hub: where it runs."""

    def __init__(self, folder, size, routes, *, shadow="require", lease="2s", cluster=None, zones=(), at=lambda name: {}, **more):
        folder = pathlib.Path(folder)
        secret = folder / "secret"
        secret.write_text("a secret for this folder only, 0123456789\n")
        secret.chmod(0o600)
        self.hubs = []
        settings = {"restart_grace": "1s", "heartbeat": "500ms", **(cluster or {})}
        for i in range(1, size + 1):
            self.hubs.append(Hub(folder / f"hub-{i}", f"hub-{i}", routes, shadow=shadow, members=self.hubs, secret=secret,
                                 lease=lease, cluster=settings, zone=zones[i - 1] if zones else None, **at(f"hub-{i}"), **more))

    def start(self, wait=True):
        for hub in self.hubs:
            hub.start(wait=False)
        if wait:
            for hub in self.hubs:
                hub.wait_ready()
            self.wait_joined()
        return self

    def wait_joined(self, seconds=20):
        """Until every living hub hears every other."""
        def joined():
            return all(peer["state"] == "alive" for hub in self.alive() for peer in hub.status()["peers"]
                       if peer["hub"] in {other.name for other in self.alive()})
        wait_until(joined, seconds, lambda: "hubs that hear each other: " + ", ".join(f"{hub.name} {hub.status()['peers']}" for hub in self.alive()))

    @property
    def addresses(self):
        return [hub.address for hub in self.hubs]

    def alive(self):
        return [hub for hub in self.hubs if hub.process and hub.process.alive()]

    def wait_empty(self, seconds):
        """Until no living hub has a message or a shadow left, nor a discard status for a hub that lives (what is owed to a dead
        one is kept until it comes back)."""
        ignored = () if len(self.alive()) == len(self.hubs) else ("outbox",)
        wait_until(lambda: all(hub.empty(ignored) for hub in self.alive()), seconds,
                   lambda: "empty queues: " + ", ".join(f"{hub.name} {hub.counts()}" for hub in self.alive()), pause=0.2)

    def stop(self):
        for hub in self.hubs:
            hub.stop()
