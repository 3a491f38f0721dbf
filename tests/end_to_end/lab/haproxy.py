"""A real HAProxy in front of a hub, that says by the PROXY protocol whose each connection is."""
import pathlib
import shutil

from . import places
from .load import listens
from .process import Process, wait_until

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")


class HaProxy:
    """Listens on a port for each of `words` ("send-proxy", "send-proxy-v2"), and connects to `to` from `source`."""

    def __init__(self, folder, to, words, source="127.0.0.1"):
        self.folder = pathlib.Path(folder)
        self.to, self.words, self.source = to, words, source
        self.ports = {word: places.free_port() for word in words}
        self.process = None

    def address(self, word):
        return f"127.0.0.1:{self.ports[word]}"

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = ["global", "  maxconn 500", "defaults", "  mode tcp", "  timeout connect 5s", "  timeout client 60s", "  timeout server 60s"]
        for word, port in self.ports.items():
            lines += [f"listen {word}", f"  bind 127.0.0.1:{port}", f"  source {self.source}", "  option smtpchk EHLO haproxy.example",
                      f"  server hub {self.to} {word} check inter 200ms"]
        config = self.folder / "haproxy.cfg"
        config.write_text("\n".join(lines) + "\n")
        self.process = Process([HAPROXY, "-db", "-f", config], self.folder / "haproxy.out")
        wait_until(lambda: all(listens("127.0.0.1", port) for port in self.ports.values()), 20, lambda: f"HAProxy: {self.process.said()[-2000:]}")
        return self

    def stop(self):
        if self.process:
            self.process.stop()
