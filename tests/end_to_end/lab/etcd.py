"""A real etcd of three members (Debian's etcd-server), some of which may be killed and come back."""
import json
import pathlib
import shutil
import urllib.request

from . import places
from .process import Process, wait_until

ETCD = shutil.which("etcd")


class Member:
    def __init__(self, folder, name, host="127.0.0.1", wrapper=()):
        self.folder, self.name, self.host, self.wrapper = pathlib.Path(folder) / name, name, host, wrapper
        self.client, self.peer = places.free_port(), places.free_port()
        self.process = None

    def start(self, members):
        self.folder.mkdir(parents=True, exist_ok=True)
        client, peer = f"http://{self.host}:{self.client}", f"http://{self.host}:{self.peer}"
        self.process = Process(
            [ETCD, "--name", self.name, "--data-dir", self.folder / "data", "--listen-client-urls", client, "--advertise-client-urls", client,
             "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster-token", "umbra-test",
             "--initial-cluster", ",".join(f"{m.name}=http://{m.host}:{m.peer}" for m in members), "--initial-cluster-state", "new", "--logger", "zap"],
            self.folder / "etcd.out", env={"ETCD_UNSUPPORTED_ARCH": "arm64"}, wrapper=self.wrapper)


class Etcd:
    def __init__(self, folder, size=3, at=lambda name: {}):
        self.members = [Member(folder, f"etcd{i + 1}", **at(f"etcd{i + 1}")) for i in range(size)]

    @property
    def addresses(self):
        return [f"{m.host}:{m.client}" for m in self.members]

    def start(self):
        for member in self.members:
            member.start(self.members)
        wait_until(lambda: any(self.answers(m) for m in self.members), 30, "an etcd that answers")
        return self

    def revive(self, index):
        self.members[index].start(self.members)

    @staticmethod
    def ask(member, path, body):
        request = urllib.request.Request(f"http://{member.host}:{member.client}{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=2) as reply:
            return json.load(reply)

    def answers(self, member):
        try:
            return "header" in self.ask(member, "/v3/kv/range", {"key": "dW1icmE="})
        except OSError:
            return False

    def stop(self):
        for member in self.members:
            if member.process:
                member.process.stop()
