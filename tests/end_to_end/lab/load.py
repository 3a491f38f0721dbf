"""umbra-load from Python: a sink, a source, the ledger."""
import json
import pathlib
import signal
import socket
import subprocess

from . import places
from .process import Process, wait_until


class Sink:
    """umbra-load sink with its ledger and its counts in `folder`."""

    def __init__(self, folder, *options, name="sink", port=None, ledger=True, host="127.0.0.1", wrapper=()):
        self.folder = pathlib.Path(folder)
        self.port = port or places.free_port()
        self.host, self.wrapper = host, wrapper
        self.ledger = self.folder / f"{name}.ledger"
        self.json = self.folder / f"{name}.json"
        self.options = options
        self.with_ledger = ledger
        self.process = None

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def start(self):
        argv = [places.UMBRA_LOAD, "sink", "--listen", self.address, "--json", self.json, "--quiet", *self.options]
        if self.with_ledger:
            argv += ["--ledger", self.ledger]
        self.process = Process(argv, self.folder / "sink.log", wrapper=self.wrapper)
        wait_until(lambda: listens(self.host, self.port), 10, f"sink on {self.address}")
        return self

    def counts(self):
        """The counts as of a quarter of a second ago."""
        try:
            return json.loads(self.json.read_text())
        except (OSError, ValueError):
            return {"messages": 0, "recipients": 0}

    def wait_for(self, messages, seconds):
        wait_until(lambda: self.counts()["messages"] >= messages, seconds,
                   lambda: f"{messages} messages at the sink, there are {self.counts()['messages']}")

    def deliveries(self):
        """(time in us, token, recipient) of every delivery so far."""
        if not self.ledger.exists():
            return
        with open(self.ledger) as lines:
            for line in lines:
                words = line.split()
                if len(words) >= 4 and words[0] == "delivered":
                    yield int(words[1]), words[2], words[3]

    def delivery_times(self):
        """{token: [time in us of each delivery]}."""
        times = {}
        for when, token, _ in self.deliveries():
            times.setdefault(token, []).append(when)
        return times

    def stop(self):
        if self.process:
            self.process.stop()


def listens(host, port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


class Source:
    """umbra-load source in the background."""

    def __init__(self, folder, to, *options, name="source", wrapper=()):
        self.folder = pathlib.Path(folder)
        self.ledger = self.folder / f"{name}.ledger"
        self.json = self.folder / f"{name}.json"
        to = to if isinstance(to, str) else ",".join(to)
        self.process = Process([places.UMBRA_LOAD, "source", "--to", to, "--ledger", self.ledger, "--json", self.json, *options],
                               self.folder / f"{name}.log", wrapper=wrapper)

    def acknowledged(self):
        """Messages acknowledged so far, by the ledger (written every 50 ms)."""
        if not self.ledger.exists():
            return 0
        with open(self.ledger, "rb") as lines:
            return sum(1 for line in lines if line.startswith(b"acknowledged "))

    def finish(self, seconds):
        """Waits for the end; returns (exit code, result)."""
        code = self.process.wait(seconds)
        return code, json.loads(self.json.read_text())

    def stop(self):
        self.process.signal(signal.SIGTERM)
        self.process.stop()


def run_source(folder, to, *options, name="source", seconds=300, ledger=True):
    """Runs a source to its end and returns its result; the exit code is in result["exit_code"]."""
    to = to if isinstance(to, str) else ",".join(to)
    argv = [str(a) for a in (places.UMBRA_LOAD, "source", "--to", to, "--json", "-", "--quiet", *options)]
    if ledger:
        argv += ["--ledger", str(pathlib.Path(folder) / f"{name}.ledger")]
    done = subprocess.run(argv, stdout=subprocess.PIPE, timeout=seconds, check=False)
    result = json.loads(done.stdout)
    result["exit_code"] = done.returncode
    return result


def message_ids(ledger_file):
    """{message id that the hub's reply named: token} of every acknowledged message in a source's ledger."""
    by_id = {}
    with open(ledger_file) as lines:
        for line in lines:
            words = line.split()
            if words and words[0] == "acknowledged":
                for word in words[6:]:
                    word = word.strip("(),;")
                    head, dash, tail = word.partition("-")
                    if dash and len(head) == 16 and tail:
                        by_id[word] = words[2]
                        break
    return by_id


def ledger(sources, sinks):
    """What `umbra-load ledger` finds; result["exit_code"] is 0 when nothing was lost."""
    argv = [str(places.UMBRA_LOAD), "ledger", "--json", "--named", "100000", "--source", *map(str, sources), "--sink", *map(str, sinks)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=False, timeout=120)
    result = json.loads(done.stdout)
    result["exit_code"] = done.returncode
    return result
