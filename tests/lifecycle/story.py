"""One run of the emulated cluster under load: what it is made of, the measurements, and what must hold at its end."""
import base64
import collections
import datetime
import json
import pathlib
import shutil
import sqlite3
import subprocess
import time

from cluster import Cluster
from lab import duplicates, load, places
from lab.process import wait_until
from manifests import render

HERE = pathlib.Path(__file__).resolve().parent
VALUES = HERE / "values.yaml"
SECRET = "umbra-cluster"
RELEASE = "umbra"
COUNTS = ("attempted", "acknowledged", "delivered", "lost", "unexpected", "duplicated", "recovered", "undecided")


class Failed(Exception):
    """A story did not end as it must."""


def need(condition, what):
    if not condition:
        raise Failed(what)


class Story:
    def __init__(self, name, folder):
        self.name, self.folder = name, pathlib.Path(folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.cluster = Cluster(self.folder / "cluster")
        self.sink = self.source = None
        self.faults, self.settings, self.outcome, self.notes = [], (), {}, []

    def say(self, text):
        self.notes.append(text)
        print(f"    {text}", flush=True)

    # -- begin ---------------------------------------------------------------------------------------------------------------

    def render(self, *settings):
        return render(RELEASE, self.cluster.namespace, VALUES, *self.settings, *settings)

    def begin(self, *settings, change=None, rate=100, size=4096):
        """Next hop, `helm install`, and the load once the hubs are there. `change` edits the StatefulSet that helm gave."""
        self.settings = settings
        # A third of what is delivered is put off once: so there is always mail in the queues.
        self.sink = load.Sink(self.folder, "--delay", "20", "--odds-4xx", "0.3", host=self.cluster.network.host, port=2600).start()
        self.cluster.add({"kind": "Secret", "metadata": {"name": SECRET}, "data": {"secret": base64.b64encode(b"a secret of this run only, 0123456789\n").decode()}})
        manifests = self.render()
        if change:
            manifests = manifests.changed(change)
        self.cluster.apply(manifests)
        seconds = self.cluster.wait_settled(120)
        self.say(f"installed: {len(self.cluster.controller.pods)} hubs ready after {seconds:.1f} s")
        service = self.service_address()
        wait_until(lambda: load.listens(*self._split(service)), 20, "the client service")
        self.source = load.Source(self.folder, service, "--sessions", "12", "--messages", "9000000", "--rate", str(rate), "--size", str(size),
                                  "--give-up-ms", "240000", "--timeout-ms", "4000")
        self.wait_for_mail(rate)

    @staticmethod
    def _split(address):
        host, _, port = address.rpartition(":")
        return host, int(port)

    def service_address(self):
        """The client service: the one with a port 25 that is not headless."""
        for service in self.cluster.manifests.of("Service"):
            if service["spec"].get("clusterIP") != "None" and any(port["port"] == 25 for port in service["spec"]["ports"]):
                return self.cluster.services.address(service["metadata"]["name"], 25)
        raise Failed("the chart has no client service at port 25")

    def wait_for_mail(self, messages):
        """Until so many more are acknowledged."""
        target = self.source.acknowledged() + messages
        self.cluster.wait(lambda: self.source.acknowledged() >= target, 90, f"{messages} more acknowledged messages")

    # -- measurements ----------------------------------------------------------------------------------------------------------

    def fault(self, lasts=0.0):
        """Now; what is delivered in the `lasts` seconds from now can be told to nobody."""
        now = time.time()
        self.faults.append(duplicates.window(now, lasts))
        return now

    def endings_since(self, count):
        found = self.cluster.endings[count:]
        for ending in found:
            self.say(str(ending))
        return found

    def events(self, kind):
        for file in sorted((self.cluster.folder / "pods").glob("*/log")):
            for line in file.read_text(errors="replace").splitlines():
                if f'"event":"{kind}"' in line:
                    yield json.loads(line)

    @staticmethod
    def given_away(pod):
        """Messages that a hub has handed over to others, by its log."""
        with open(pod.log, errors="replace") as lines:
            return sum('"event":"handed_over"' in line and '"owner":' in line for line in lines)

    def longest_silence(self, begun, ended):
        """The longest time without an acknowledgement between two moments (Unix time)."""
        moments = [begun]
        with open(self.source.ledger) as lines:
            for line in lines:
                words = line.split(" ", 2)
                if words[0] == "acknowledged" and begun <= int(words[1]) / 1e6 <= ended:
                    moments.append(int(words[1]) / 1e6)
        moments.append(ended)
        return max(b - a for a, b in zip(moments, moments[1:]))

    def first_resubmitted(self, begun):
        """Seconds from `begun` to the first delivery of what was taken over; None without one."""
        taken = {event["id"] for event in self.events("taken_over")}
        best = None
        for event in self.events("delivered"):
            moment = datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()
            if event["id"] in taken and moment > begun:
                best = min(best or 1e9, moment - begun)
        return best

    def mail_on_disk(self, ordinal):
        """(messages, copies held for others) on the disk of an ordinal whose pod is gone."""
        found = {"messages": 0, "shadows": 0}
        for disk in self.cluster.disk(ordinal):
            for file in disk.rglob("*"):
                if file.is_file() and file.read_bytes()[:15] == b"SQLite format 3":
                    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as spool:
                        for table in found:
                            found[table] += spool.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return found["messages"], found["shadows"]

    # -- end -----------------------------------------------------------------------------------------------------------------

    def _left_over(self):
        """Why the cluster is not empty yet; "" when it is."""
        found = []
        for pod in list(self.cluster.controller.pods.values()):
            try:
                status = self.cluster.umbra(pod, "status")
                counts = {**{name: status["queue"][name] for name in ("messages", "ceded", "unprotected") if name in status["queue"]},
                          "shadows": status["shadows"], "outbox": status["discards_owed"]}
            except (RuntimeError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
                return f"{pod.name} does not answer: {error}"
            if any(counts.values()):
                found.append(f"{pod.name} {counts}")
        return "; ".join(found)

    def end(self, seconds=90):
        """Ends the load, waits for the empty cluster, matches the ledgers. Raises Failed."""
        self.source.stop()
        try:
            wait_until(lambda: not self._left_over(), seconds, self._left_over, pause=0.5)
        except TimeoutError as error:
            raise Failed(f"the cluster did not become empty: {error}") from error
        time.sleep(0.3)
        self.sink.stop()
        self.cluster.check()
        counts = load.ledger([self.source.ledger], [self.sink.ledger])
        codes = self.client_errors()
        announced = {event["id"] for event in self.events("possible_duplicate")}
        explained, unexplained = duplicates.explain(counts, announced, self.sink.delivery_times(), self.faults)
        self.outcome = {"story": self.name, "date": datetime.date.today().isoformat(), "build": places.BUILD.name, **{name: counts[name] for name in COUNTS},
                        **explained, "client": dict(codes), "resubmitted_after": None, "notes": self.notes}
        need(counts["lost"] == 0, f"lost: {counts['first_lost'][:5]}")
        need(counts["unexpected"] == 0, f"unexpected: {counts['first_unexpected'][:5]}")
        need(self.sink.counts()["damaged"] == 0, "bodies were damaged")
        need(not any(code.startswith("5") for code in codes), f"permanent errors at the client: {dict(codes)}")
        need(not unexplained, f"duplicates that nothing explains: {unexplained[:5]}")
        return self.outcome

    def client_errors(self):
        """What the client was told or met, other than 2xx: reply code or word -> times."""
        found = collections.Counter()
        with open(self.source.ledger) as lines:
            for line in lines:
                words = line.split(" ", 6)
                if words[0] == "refused":
                    found[words[5]] += 1
                elif words[0] in ("unsent", "undecided"):
                    found[words[0]] += 1
        return found

    def stop(self):
        """Ends everything that was started here."""
        for one in (self.source, self.sink):
            if one:
                one.stop()
        self.cluster.close()
