"""Network namespaces on a bridge, made for one run: each process in one of its own, and partitions between them.

The bridge lies in a namespace too ("switch"), which the run itself enters, so that nothing of the machine's own network is touched or
reachable. Names carry the run's process id. Everything is removed by close(); what a killed run left behind is removed by the next.
"""
import ctypes
import os
import pathlib
import re
import subprocess

FOLDER = pathlib.Path("/run/netns")
CLONE_NEWNET = 0x40000000


class Unable(Exception):
    """Namespaces cannot be made here, and why."""


def _run(*argv, check=True):
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False, timeout=30)
    if check and done.returncode != 0:
        raise Unable(f"{' '.join(map(str, argv))}: {done.stderr.strip() or done.returncode}")
    return done


def _enter(path):
    """This thread, and what it starts from now on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            raise Unable(f"setns: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(descriptor)


class Place:
    """A namespace with one address, which a process is started in by `wrapper`."""

    def __init__(self, network, name, number):
        self.name, self.namespace, self.host = name, f"{network.prefix}-{name}", f"10.77.0.{number}"
        self._port = f"port{number}"
        _run("ip", "netns", "add", self.namespace)
        network.made.append(self.namespace)
        _run("ip", "link", "add", self._port, "type", "veth", "peer", "name", "eth0", "netns", self.namespace)
        _run("ip", "link", "set", self._port, "master", "bridge0", "up")
        _run("ip", "-n", self.namespace, "address", "add", f"{self.host}/24", "dev", "eth0")
        _run("ip", "-n", self.namespace, "link", "set", "lo", "up")
        _run("ip", "-n", self.namespace, "link", "set", "eth0", "up")

    @property
    def wrapper(self):
        # Ends with this run, even one that is killed.
        return ("setpriv", "--pdeathsig", "KILL", "nsenter", f"--net={FOLDER / self.namespace}")

    def options(self):
        """Where it runs, for the classes of the lab."""
        return {"host": self.host, "wrapper": self.wrapper}

    def iptables(self, *words):
        _run("nsenter", f"--net={FOLDER / self.namespace}", "iptables", "-w", *words)


class Network:
    """Made once per scenario. Needs root."""

    def __init__(self):
        self.prefix = f"umbra-test-{os.getpid()}"
        self.made, self.places = [], {}
        if os.geteuid() != 0:
            raise Unable("only root makes network namespaces")
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._remove_leftovers()
        switch = f"{self.prefix}-switch"
        try:
            _run("ip", "netns", "add", switch)
            self.made.append(switch)
            _enter(FOLDER / switch)
            _run("ip", "link", "set", "lo", "up")
            _run("ip", "link", "add", "name", "bridge0", "type", "bridge")
            _run("ip", "address", "add", "10.77.0.1/24", "dev", "bridge0")
            _run("ip", "link", "set", "bridge0", "up")
            self.host = "10.77.0.1"
        except (Unable, OSError) as error:
            self.close()
            raise Unable(str(error)) from error

    @staticmethod
    def _remove_leftovers():
        for name in os.listdir(FOLDER) if FOLDER.is_dir() else ():
            found = re.fullmatch(r"umbra-test-(\d+)-[a-z0-9-]+", name)
            if found and not os.path.exists(f"/proc/{found.group(1)}"):
                _run("ip", "netns", "delete", name, check=False)

    def place(self, name):
        if name not in self.places:
            self.places[name] = Place(self, name, 10 + len(self.places))
        return self.places[name]

    def deafen(self, name, *others):
        """Whatever the others send does not reach `name` any more."""
        for other in others:
            self.places[name].iptables("-A", "INPUT", "-s", self.places[other].host, "-j", "DROP")

    def part(self, name, *others):
        """Nothing passes between `name` and the others, either way."""
        self.deafen(name, *others)
        for other in others:
            self.deafen(other, name)

    def heal(self):
        for place in self.places.values():
            place.iptables("-F", "INPUT")

    def close(self):
        """After the processes inside have ended. Their interfaces go with the namespaces."""
        if self._home is None:
            return
        libc = ctypes.CDLL(None, use_errno=True)
        libc.setns(self._home, CLONE_NEWNET)
        os.close(self._home)
        self._home = None
        for name in reversed(self.made):
            _run("ip", "netns", "delete", name, check=False)
        self.made, self.places = [], {}
