"""One scenario under load, from an empty cluster to an empty cluster: what it is made of, and what is checked at its end."""
import datetime
import json
import pathlib
import shutil
import subprocess
import time

from lab import duplicates, load
from lab.etcd import Etcd
from lab.hub import Cluster, Hub, route_to
from lab.name_server import NameServer
from lab.process import wait_until

HEARTBEAT = 0.5
LEASE = 3.0


class Failed(Exception):
    """A scenario did not end as it must."""


def need(condition, what):
    if not condition:
        raise Failed(what)


def seconds_of(event):
    return datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()


class Trial:
    """Hubs hub-1, hub-2 ... with ownership `mode`, a source and a sink, each in a place of its own of `network`."""

    def __init__(self, name, mode, folder, network):
        self.name, self.mode, self.network = name, mode, network
        self.folder = pathlib.Path(folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.hubs, self.etcd, self.names, self.target, self.load, self.cluster = [], None, None, None, None, None
        self.faults = []     # (begin, end) of the times in which what is delivered can be told to nobody, Unix time
        self.notes = []
        self.retired = []    # hubs that left or that were never to come back
        self._mounts = []

    def say(self, text):
        print(f"    {text}", flush=True)

    def at(self, name):
        return self.network.place(name).options()

    # -- begin ---------------------------------------------------------------------------------------------------------

    def begin(self, size=None, *, rate=150, seconds=24, before=0.25, discovery=False, clocks=False, spools=None, odds=0.3, started=None):
        """Cluster, sink, and a load of which the part `before` is acknowledged when this returns. Of the hubs the first `started`
        are started; the others stand in the source's list of targets, and nowhere else."""
        size = size or {"pairwise": 2}.get(self.mode, 3)
        settings = {"ownership": self.mode, "heartbeat": f"{int(HEARTBEAT * 1000)}ms", "restart_grace": "3s", "return_wait": "10s",
                    "reprotect_after": "5s"}
        if self.mode == "etcd":
            self.etcd = Etcd(self.folder, at=self.at)
            self.etcd.start()
            settings["arbiter"] = {"endpoints": self.etcd.addresses}
        if discovery:
            self.names = NameServer(5300, host=self.network.host)
            settings["discovery"] = {"dns": "_umbra._tcp.hubs.test", "type": "srv", "interval": "1s", "forget_after": "10s"}
        # A third of what is delivered is put off once: so there is always mail in the queues.
        self.target = load.Sink(self.folder, "--delay", "20", "--odds-4xx", odds, **self.at("sink")).start()
        self.cluster = Cluster(self.folder, size, [route_to(self.target.address)], lease=f"{LEASE:g}s", cluster=settings, networks=("10.77.0.0/24",),
                               delivery={"retry": [{"wait": "2s"}]}, reserve="8MB", at=self.at)
        self.hubs = self.cluster.hubs
        for hub in self.hubs:
            if clocks:
                self._clock(hub)
            if spools:
                hub.spool = spools(hub.name)
        self.retired = self.hubs[started or size:]
        if discovery:
            self.publish(self.living())
            for hub in self.hubs:
                hub.resolver = self.names.address
        for hub in self.living():
            hub.start(wait=False)
        for hub in self.living():
            hub.wait_ready(60)
        self.cluster.wait_joined(60)
        if self.mode == "etcd":
            for hub in self.living():
                wait_until(lambda h=hub: "the arbiter has this hub's record" in h.log.read_text(), 30, "records in etcd")
        self.messages = int(rate * seconds)
        self.load = load.Source(self.folder, self.cluster.addresses, "--sessions", 12, "--messages", self.messages, "--rate", rate, "--give-up-ms", 240000,
                                "--timeout-ms", 20000, wrapper=self.network.place("source").wrapper)
        self.wait_for_load(before)

    def wait_for_load(self, part):
        wait_until(lambda: self.load.acknowledged() >= self.messages * part, 180, lambda: f"{part:.0%} of the load, there are {self.load.acknowledged()}")

    def publish(self, hubs):
        """What DNS says from now on."""
        self.names.addresses = {f"{hub.name}.hubs.test": [hub.host] for hub in hubs}
        self.names.services = {"_umbra._tcp.hubs.test": [(hub.cluster_port, f"{hub.name}.hubs.test") for hub in hubs]}

    # -- faults --------------------------------------------------------------------------------------------------------

    def fault(self, lasts=0.0):
        """Now; what is delivered in the `lasts` seconds from now can be told to nobody."""
        now = time.time()
        self.faults.append(duplicates.window(now, lasts))
        return now

    def cut(self):
        """The time in which a hub that was just cut off still delivers: three heartbeats, and with pairwise a lease."""
        return LEASE if self.mode == "pairwise" else 3 * HEARTBEAT

    def others(self, hub):
        """The names of everybody that a hub agrees with: the other hubs, and the arbiter's members."""
        return [other.name for other in self.hubs if other is not hub] + [m.name for m in (self.etcd.members if self.etcd else ())]

    def wait_for_takeover(self, hubs, seconds=60):
        wait_until(lambda: any(hub.metric("umbra_messages_taken_over_total") > 0 for hub in hubs), seconds, "a take-over")

    def small_disk(self, name, megabytes):
        place = self.folder / f"disk-{name}"
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)], check=True)
        self._mounts.append(place)
        return place

    def _clock(self, hub):
        """A wall clock of its own; set() it by the file."""
        library = next(iter(sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
        need(library is not None, "libfaketime is missing (Debian: faketime)")
        hub.clock = self.folder / f"clock-{hub.name}"
        hub.clock.write_text("+0\n")
        hub.wrapper = (*hub.wrapper, "env", f"LD_PRELOAD={library}", f"FAKETIME_TIMESTAMP_FILE={hub.clock}", "FAKETIME_CACHE_DURATION=1",
                       "FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1")

    # -- end -----------------------------------------------------------------------------------------------------------

    def living(self):
        return [hub for hub in self.hubs if hub not in self.retired]

    def _left_over(self):
        """Why the cluster is not empty yet; "" when it is."""
        found = []
        for hub in self.living():
            try:
                counts = hub.counts()
                counts["umbra_unprotected"] = int(hub.metric("umbra_unprotected_messages"))
            except (subprocess.CalledProcessError, ValueError, KeyError) as error:
                return f"{hub.name} does not answer: {error}"
            if any(counts[what] for what in ("messages", "ceded", "unprotected", "umbra_unprotected", "shadows", "outbox")):
                found.append(f"{hub.name} {counts}")
        return "; ".join(found)

    def end(self, seconds=120):
        """Waits for the load and for the empty cluster; gives what is written down. Raises Failed."""
        code, result = self.load.finish(300)
        need(code == 0, f"the source did not get rid of its load: {result}")
        try:
            wait_until(lambda: not self._left_over(), seconds, self._left_over, pause=0.3)
        except TimeoutError as error:
            raise Failed(f"the cluster did not become empty: {error}") from error
        time.sleep(0.3)
        self.target.stop()
        need(self.target.counts()["damaged"] == 0, "bodies were damaged")
        counts = load.ledger([self.load.ledger], [self.target.ledger])
        announced = [event["id"] for hub in self.hubs for event in hub.events("possible_duplicate")]
        explained, unexplained = duplicates.explain(counts, set(announced), self.target.delivery_times(), self.faults)
        outcome = {"scenario": self.name, "mode": self.mode, "hubs": len(self.hubs), "messages": self.messages,
                   **{name: counts[name] for name in ("attempted", "acknowledged", "delivered", "lost", "unexpected", "duplicated", "recovered", "undecided")},
                   **explained, "resubmitted_after": self._first_resubmitted(), "notes": self.notes,
                   "announced_total": len(announced),
                   "date": datetime.date.today().isoformat()}
        self.outcome = outcome
        (self.folder / "outcome.json").write_text(json.dumps(outcome, indent=1) + "\n")
        need(counts["lost"] == 0, f"lost: {counts['first_lost'][:5]}")
        need(counts["unexpected"] == 0, f"unexpected: {counts['first_unexpected'][:5]}")
        need(counts["acknowledged"] == self.messages, f"{counts['acknowledged']} of {self.messages} were acknowledged")
        need(not unexplained, f"duplicates that nothing explains: {unexplained[:5]}")
        return outcome

    def _first_resubmitted(self):
        """Seconds from the first fault to the first delivery by a hub of what it had taken over; None without one."""
        if not self.faults:
            return None
        begun, best = self.faults[0][0] + duplicates.WINDOW_BEFORE, None
        for hub in self.hubs:
            taken = {event["id"] for event in hub.events("taken_over")}
            for event in hub.events("delivered") if taken else ():
                if event["id"] in taken and seconds_of(event) > begun:
                    best = min(best or 1e9, seconds_of(event) - begun)
                    break
        return round(best, 2) if best else None

    def stop(self):
        """Ends everything that was started here."""
        for one in (self.load, *self.hubs, self.target, self.etcd, self.names):
            if one is None:
                continue
            if isinstance(one, Hub):
                if one.process:
                    one.kill()
                if one.socket.parent != one.folder:
                    shutil.rmtree(one.socket.parent, ignore_errors=True)
            else:
                one.stop()
        for place in self._mounts:
            subprocess.run(["umount", "-l", str(place)], check=False)
