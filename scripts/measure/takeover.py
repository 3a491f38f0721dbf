"""kill -9 of a hub to the first delivery of a message that another hub took over."""
import threading
import time

from lab import hub as hubs, load, process

from .common import Figure, gauge, in_queue, nice, percentile

MESSAGES = 300
SETTLED_SECONDS = 11.0  # a lease and a second: a hub that has just started neither votes nor grants before (ownership: majority)


class Lane(threading.Thread):
    """One cluster of three with its own source and sink; its hubs are killed in turn and come back."""

    def __init__(self, figure, number, runs):
        super().__init__(name=f"lane {number}")
        self.figure = figure
        self.number = number
        self.runs = runs
        self.times = []  # seconds
        self.taken = 0
        self.error = None

    def run(self):
        folder = self.figure.place(f"lane-{self.number}")
        # Two connections and 20 ms for each message: three seconds of queue when the hub dies.
        sink = load.Sink(folder, "--delay", "20").start()
        cluster = hubs.Cluster(folder, 3, [hubs.route_to(sink.address, connections=2)], lease="10s",
                               cluster={"heartbeat": "1s", "restart_grace": "5s"})
        try:
            time.sleep(self.number * 2)  # so that the clusters do not all do the same at the same time
            cluster.start()
            for run in range(self.runs):
                time.sleep(SETTLED_SECONDS)
                self.times.append(self.once(folder, cluster, sink, cluster.hubs[run % 3], f"source-{run}"))
                self.figure.say(f"cluster {self.number}, run {run + 1} of {self.runs}: {self.times[-1]:.2f} s")
            self.figure.done_with(folder.name)
        except Exception as error:  # told by the figure, which waits for all lanes
            self.error = error
        finally:
            cluster.stop()
            sink.stop()

    def once(self, folder, cluster, sink, victim, name):
        others = [hub for hub in cluster.hubs if hub is not victim]
        before = {hub.name: gauge(hub, "umbra_messages_taken_over_total") for hub in others}
        sent = load.run_source(folder, victim.address, "--sessions", 10, "--messages", MESSAGES, name=name)
        if sent["acknowledged"] != MESSAGES:
            raise RuntimeError(f"only {sent['acknowledged']} of {MESSAGES} messages were acknowledged")
        killed_at = time.time()
        victim.kill()
        taken = lambda: sum(gauge(hub, "umbra_messages_taken_over_total") - before[hub.name] for hub in others)  # noqa: E731
        process.wait_until(lambda: taken() > 0, 40, "a take-over", pause=0.25)
        process.wait_until(lambda: all(in_queue(hub) == 0 for hub in others), 60, "empty queues", pause=0.25)
        time.sleep(0.3)  # ledger and log are written in batches
        by_id = load.message_ids(folder / f"{name}.ledger")
        times = sink.delivery_times()
        first = None
        for hub in others:
            for event in hub.events("taken_over"):
                token = by_id.get(event["id"])
                if token is None:
                    continue  # of an earlier run
                self.taken += 1
                # What was under way at the kill may still be written down by the sink: only what came after the take-over counts.
                later = [t / 1e6 for t in times.get(token, ()) if t / 1e6 > killed_at + 2]
                if later:
                    first = min(later) if first is None else min(first, *later)
        if first is None:
            raise RuntimeError("no message that was taken over was delivered")
        victim.start()
        cluster.wait_joined(30)
        process.wait_until(lambda: all(in_queue(hub) == 0 for hub in cluster.hubs), 60, "empty queues after the return", pause=0.25)
        return first - killed_at


class TakeOver(Figure):
    key = "takeover"
    title = "kill -9 to the first resubmitted delivery"
    about = (f"Clusters of three hubs, `shadow: require`, `ownership: majority`, lease 10 s and heartbeat 1 s (the defaults; `restart_grace` "
             f"is 5 s, since the hubs have only just started). A source sends {MESSAGES} messages to one hub, whose next hop takes two at "
             "a time; the hub is killed with -9 as soon as the last is acknowledged. Time runs from before the kill to the sink's ledger "
             "line of the first message that a `taken_over` event names. The hub is started again and the next one is killed.")

    def run(self):
        lanes = min(self.options.lanes, self.options.runs)
        shares = [self.options.runs // lanes + (1 if i < self.options.runs % lanes else 0) for i in range(lanes)]
        running = [Lane(self, i, share) for i, share in enumerate(shares)]
        for lane in running:
            lane.start()
        for lane in running:
            lane.join()
        times = [seconds for lane in running for seconds in lane.times]
        failed = [lane for lane in running if lane.error]
        if not times:
            raise failed[0].error
        self.header = ["runs", "least", "p50", "p99", "most", "taken over per run"]
        self.rows = [[str(len(times)), *(nice(value) + " s" for value in (min(times), percentile(times, 0.5), percentile(times, 0.99), max(times))),
                      nice(sum(lane.taken for lane in running) / len(times), 0)]]
        self.numbers = {"seconds": times}
        over = max(times) - 10
        self.notes = [f"{lanes} such clusters run side by side: {lanes * 3} hubs that are idle but for their heartbeats.",
                      "Where the time goes: the lease. It is counted from the last beat that was heard, up to a second (one heartbeat) before "
                      "the kill, and `majority` adds a vote of the hubs that are left; reading the first page of shadows and delivering is "
                      f"a matter of milliseconds. The slowest of these runs was {over:+.2f} s from the lease."]
        for lane in failed:
            self.notes.append(f"One cluster ended early after {len(lane.times)} runs: {lane.error}")
