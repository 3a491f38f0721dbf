"""Bad clients (umbra-load hostile) beside a good one: started, counted and ended."""
import json
import pathlib
import resource

from . import places
from .process import Process, wait_until


def raise_descriptor_limit(wanted):
    """As many file descriptors as that for this process and what it starts; gives what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
        except (OSError, ValueError):  # only root may raise the hard limit
            pass
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, hard)), hard))
    return max(soft, min(wanted, hard))


class Hostile:
    """`connections` bad clients of one kind, from many loopback addresses, until stop()."""

    def __init__(self, folder, to, kind, *, connections, name=None, **options):
        name = name or kind
        self.kind, self.connections = kind, connections
        self.json = pathlib.Path(folder) / f"{name}.json"
        self.json.unlink(missing_ok=True)
        words = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", value)]
        self.process = Process([places.UMBRA_LOAD, "hostile", "--to", to, "--kind", kind, "--connections", connections, "--json", self.json, *words],
                               pathlib.Path(folder) / f"{name}.log")

    def counts(self):
        """As of a quarter of a second ago."""
        try:
            return json.loads(self.json.read_text())
        except (OSError, ValueError):
            return {"open": 0, "in_place": 0, "connections": 0, "closed_by_hub": 0, "failures": 0, "octets_sent": 0, "octets_received": 0}

    def wait_in_place(self, seconds):
        """Until all of them are connected and at what they came for. Those that come and go: until as many have been there."""
        comes_and_goes = self.kind in ("churn", "flood", "recipients")
        wait_until(lambda: self.counts()["connections" if comes_and_goes else "in_place"] >= self.connections, seconds,
                   lambda: f"{self.connections} of {self.kind} in place: {self.counts()}; {self.process.said()[-500:]}")

    def stop(self):
        self.process.stop()
        return self.counts()
