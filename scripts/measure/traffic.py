"""Octets between hubs for each message, by way to redundancy."""
import subprocess
import threading

from lab import hub as hubs, load, process

from .common import Figure, fill, nice, quiet, running


class Meter:
    """Octets that TCP connections of these ports have carried, both ways, as the kernel counts them for each socket (ss -i);
    looked at ten times a second, so that of a connection that closes at most the last tenth is missed."""

    def __init__(self, ports):
        self.ports = {str(port) for port in ports}
        self.seen = {}
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self.look()
        self.begin = dict(self.seen)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()
        self.look()

    def _watch(self):
        while not self.ending.wait(0.1):
            self.look()

    def look(self):
        said = subprocess.run(["ss", "-tinHO", "state", "established"], capture_output=True, text=True, check=True).stdout
        for line in said.splitlines():
            words = line.split()
            # Receive queue, send queue, local, peer: the side that listens knows both directions.
            if len(words) < 4 or words[2].rsplit(":", 1)[-1] not in self.ports:
                continue
            octets = sum(int(word.partition(":")[2]) for word in words if word.startswith(("bytes_received:", "bytes_sent:")))
            self.seen[words[2], words[3]] = octets

    def octets(self):
        return sum(count - self.begin.get(key, 0) for key, count in self.seen.items())


def retained(*names):
    """hub-1 hands its mail over to the first of these, that one to the next; the last delivers."""
    def prepare(cluster):
        for hub, name in zip(cluster, names):
            hub._settings["routes"] = [{"name": "core", "domains": ["*"], "hubs": [name]}]
    return prepare


def by_smtp(cluster):
    cluster[0]._settings["routes"] = [hubs.route_to(cluster[1].address)]


class Traffic(Figure):
    key = "traffic"
    title = "Octets between hubs for each message"
    about = ("Three hubs; all mail comes to hub-1 and is delivered at once to a sink that is no hub. Counted are the octets of TCP "
             "payload on all connections between hubs, both directions, as the kernel counts them for each socket (`ss -i`), from before the first message "
             "until every queue, shadow and discard is gone; heartbeats of that time included. No TLS between the hubs.")

    def run(self):
        self.header = ["way to redundancy", "message", "messages", "octets between hubs per message", "of the message's size"]
        self.numbers = {"cases": []}
        for size, count in ((4096, 5000), (102_400, 1000)):
            count = self.scaled(count)
            self.take("copy before ack, `copies: 1`", size, count, {"listener": {"copies": 1}})
            self.take("copy before ack, `copies: 2`", size, count, {"listener": {"copies": 2}})
            self.take("hop retention: hub-1 hands over to hub-2 (`hubs:`), which delivers", size, count, {"prepare": retained("hub-2")})
            self.take("hop retention: hub-1 to hub-2 to hub-3, which delivers", size, count, {"prepare": retained("hub-2", "hub-3")})
            self.take("for comparison: hub-1 sends to hub-2 by SMTP, each with a copy before its ack", size, count, {"prepare": by_smtp})
            self.take("delayed acknowledgement (no hub can take a copy: both others are away)", size, count, {"shadow": "prefer"}, alone=True)
        self.notes = ["Where the octets go: a copy is the message once more, with its envelope and trace header; the discard, its answer and the reply "
                      "to the copy are what is above that. Delayed acknowledgement sends no copy. With hop retention the first hub's "
                      "copy before the ack is the hop: the next hub has the body already when it is made the owner, and the first one keeps its own as the shadow."]

    def take(self, title, size, count, settings, alone=False):
        place = f"{size}-{len(self.rows)}"
        try:
            octets = self.one(place, size, count, settings, alone)
        except Exception as error:  # one case's trouble is its row
            self.say(f"{title}, {size}: FAILED: {error}")
            self.rows.append([title, f"{size:,}", f"{count:,}", self.why(error), ""])
            return
        self.say(f"{title}, {size:,} octets: {octets / count:,.0f} per message")
        self.numbers["cases"].append({"way": title, "size": size, "messages": count, "octets": octets})
        self.rows.append([title, f"{size:,}", f"{count:,}", nice(octets / count, 0), nice(octets / count / size, 3)])

    def one(self, place, size, count, settings, alone):
        folder = self.place(place)
        sink = load.Sink(folder, ledger=False).start()
        try:
            with running(folder, 3, sink.address, **({"cluster": {"ownership": "pairwise"}} if alone else {}), **settings) as cluster:
                warm = 0
                if alone:
                    for hub in cluster[1:]:
                        hub.kill()
                    process.wait_until(lambda: all(peer["state"] != "alive" for peer in cluster[0].status()["peers"]), 30, "both gone")
                else:
                    # Until every hub takes copies from the first one.
                    while fill(folder, cluster[0].address, 10, size=size)["refused_4xx"]:
                        warm += 10
                    warm += 10
                    sink.wait_for(warm, 60)
                    quiet(cluster)
                with Meter([port for hub in cluster for port in (hub.cluster_port, *([hub.port] if hub is not cluster[0] else []))]) as meter:
                    result = fill(folder, cluster[0].address, count, size=size)
                    sink.wait_for(warm + count, 120)
                    quiet([hub for hub in cluster if hub.process.alive()])
                if not alone and result["refused_4xx"]:
                    raise RuntimeError(f"{result['refused_4xx']} attempts were refused")
        finally:
            sink.stop()
        self.done_with(place)
        return meter.octets()
