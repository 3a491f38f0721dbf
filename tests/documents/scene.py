"""Where the blocks of a page run: namespaces of their own for network, mounts and processes, so that addresses, ports and paths are the ones
that the page says, nothing of the machine is touched, and all that was started ends with the page.

cluster  hub-a, hub-b and hub-c on loopback, each alive; commands go to hub-a (/run/umbra/admin.sock, /etc/umbra/hub.yaml). The working folder
         has hub-X/hub.log, hub-X/hub.pid, hub-X/logs, hub-X/spool, and hub.yaml. A message has been delivered to the sink, one waits for a host that is dead.
clone    a folder that looks like a clone after `make`: links to what is in this one.
"""
import json
import os
import pathlib
import re
import smtplib
import subprocess
import time
import urllib.request

from lab import places
from lab.process import wait_until

NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
SINK = "127.0.0.9:2600"
HUBS = ("hub-a", "hub-b", "hub-c")
OFF = {"medium": 101, "high": 101, "leave_high": 101, "leave_medium": 101}


def namespaces():
    """Words before a command that give it namespaces of its own."""
    return NAMESPACES if os.geteuid() == 0 else [*NAMESPACES, "--user", "--map-root-user"]


def run(*argv):
    subprocess.run([str(word) for word in argv], check=True, stdout=subprocess.DEVNULL)


def make_private():
    """Folders that only this page sees: /etc and /var/lib with what they had, /run empty."""
    run("ip", "link", "set", "lo", "up")
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    layers = pathlib.Path("/run/layers")
    layers.mkdir()
    for path in ("/etc", "/var/lib"):
        upper, work = layers / path.replace("/", "_"), layers / (path.replace("/", "_") + "_work")
        upper.mkdir()
        work.mkdir()
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={path},upperdir={upper},workdir={work}", path)
    for path in ("/etc/umbra", "/run/umbra", "/var/lib/umbra"):
        pathlib.Path(path).mkdir(exist_ok=True)


class Scene:
    """`folder` is where the blocks begin, `environment` what they have, `names` what stands in the pages for something made here."""

    def __init__(self, kind, scratch):
        self.scratch = pathlib.Path(scratch)
        self.folder = self.scratch / "here"
        self.folder.mkdir()
        self.names = {}
        path = f"{places.UMBRA.parent}:{places.UMBRA_LOAD.parent}:" if kind == "cluster" else ""
        self.environment = {"PATH": path + os.environ["PATH"], "HOME": str(self.scratch), "LANG": "C.UTF-8", "TERM": "dumb"}
        if kind == "cluster":
            self.cluster()
        else:
            self.clone()

    def clone(self):
        for path in places.ROOT.iterdir():
            if path.name not in ("build", ".git"):
                (self.folder / path.name).symlink_to(path)
        (self.folder / "build").mkdir()
        (self.folder / "build" / "release").symlink_to(places.BUILD)

    def cluster(self):
        self.environment["UMBRA_SOCKET"] = "/run/umbra/admin.sock"
        secret = pathlib.Path("/etc/umbra/cluster.secret")
        secret.write_text("a secret for these three hubs only, 0123456789\n")
        secret.chmod(0o600)
        tokens = pathlib.Path("/etc/umbra/admin.tokens")
        tokens.write_text(f"monitoring:read:{'0123456789abcdef' * 4}\n")
        tokens.chmod(0o600)
        self.start([str(places.UMBRA_LOAD), "sink", "--listen", SINK, "--ledger", str(self.scratch / "sink.ledger")], "sink")
        for number, name in enumerate(HUBS, 1):
            self.hub(name, number)
        for number in range(1, 4):
            wait_until(lambda number=number: self.ready(number), 30, lambda: "hubs that take mail; they said: " + self.said())
        wait_until(lambda: all(peer["state"] == "alive" for peer in self.status()["peers"]), 30, lambda: f"hubs that hear each other: {self.status()}")
        waits = self.send("order@shop.example", "warehouse@backend.example")
        done = self.send("order@shop.example", "customer@example.net")
        wait_until(lambda: self.status()["queue"]["messages"] == 1, 20, lambda: f"one message delivered, one left: {self.status()['queue']}")
        wait_until(lambda: list(self.folder.glob("hub-a/logs/MSGTRK*.log")), 20, "the tracking log of hub-a")
        # The ids that stand in the pages.
        self.names = {"9f86d081884c7d65-10000000002": waits, "9f86d081884c7d65-10000000001": done}

    def hub(self, name, number):
        here = self.folder / name
        (here / "logs").mkdir(parents=True)
        first = number == 1
        spool = "/var/lib/umbra" if first else str(here / "spool")
        host = f"127.0.0.{number}"
        config = {
            "hub": {"name": name, "host_name": f"{name}.example.com"},
            "spool": {"directory": spool, "reserve": "10MB"},
            "listeners": [
                {"name": "applications", "address": f"{host}:25", "networks": ["127.0.0.0/8"], "tarpit": "0s", "limits": {"recipients": 1000}},
                {"name": "partners", "address": f"{host}:26", "networks": ["127.0.0.0/8"], "tarpit": "0s"}],
            "routes": [{"name": "backend", "domains": ["backend.example"], "hosts": ["127.0.0.1:2699"]},
                       {"name": "partner", "domains": ["partner.example"], "hosts": [{"address": "10.0.0.9:25"}]},
                       {"name": "load", "domains": ["sink.example"], "hosts": ["127.0.0.1:2600"]},
                       {"name": "internet", "domains": ["*"], "hosts": [SINK]}],
            "admin": {"socket": "/run/umbra/admin.sock" if first else f"/run/umbra/{name}.sock", "address": f"{host}:9625", "tokens_file": "/etc/umbra/admin.tokens"},
            "log": {"file": str(here / "hub.log")},
            "logs": {"folder": str(here / "logs")},
            "safety_net": {"keep": "2d", "size": "50MB"},
            "pressure": {"disk": OFF, "log_disk": OFF, "inodes": OFF},
            "cluster": {"address": f"{host}:2525", "secret_file": "/etc/umbra/cluster.secret", "lease": "10s", "restart_grace": "1s",
                        "members": [{"name": other, "address": f"127.0.0.{i}:2525"} for i, other in enumerate(HUBS, 1)]},
        }
        file = pathlib.Path("/etc/umbra/hub.yaml" if first else here / "hub.yaml")
        file.write_text(json.dumps(config, indent=2) + "\n")  # JSON is YAML
        if first:
            (self.folder / "hub.yaml").symlink_to(file)
        pathlib.Path(spool).mkdir(exist_ok=True)
        run(places.UMBRA, "check", file)  # says what is wrong, at once
        (here / "hub.pid").write_text(f"{self.start([str(places.UMBRA), 'run', '--config', str(file)], name)}\n")

    def start(self, argv, name):
        with open(self.scratch / f"{name}.out", "ab") as out:
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder).pid

    def said(self):
        return "".join(path.read_text(errors="replace")[-500:] for path in self.scratch.glob("*.out"))

    @staticmethod
    def ready(number):
        try:
            with urllib.request.urlopen(f"http://127.0.0.{number}:9625/healthz/ready", timeout=2) as reply:
                return reply.status == 200
        except OSError:
            return False

    def status(self):
        told = subprocess.run([str(places.UMBRA), "status", "--output", "json", "--socket", self.environment["UMBRA_SOCKET"]],
                              stdout=subprocess.PIPE, check=True, timeout=10, text=True).stdout
        return json.loads(told)

    @staticmethod
    def send(sender, recipient):
        """The id of a message that was just accepted by hub-a."""
        with smtplib.SMTP("127.0.0.1", 25, timeout=20) as client:
            client.ehlo("shop.example")
            client.mail(sender)
            client.rcpt(recipient)
            code, reply = client.data(f"From: {sender}\r\nTo: {recipient}\r\nSubject: an order\r\nMessage-ID: <{time.time_ns()}@shop.example>\r\n\r\nOne.\r\n")
        if code != 250:
            raise RuntimeError(f"hub-a does not take the scene's message: {code} {reply}")
        return re.search(r"[0-9a-f]{16}-[0-9a-f]+", reply.decode()).group(0)
