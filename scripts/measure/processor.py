"""Processor time per message by the number of hubs on one machine."""
import time

from lab import load

from .common import Figure, cpu, fill, grown, nice, quiet, running, syncs

IDLE_SECONDS = 10
SESSIONS = 50


class Processor(Figure):
    key = "processor"
    title = "Processor time per message, 1 to 7 hubs on one machine"
    about = ("The same number of 4 KB messages over all hubs, delivered at once to one sink; 1 hub alone without a copy, from 2 on `shadow: require`. "
             f"Once with {SESSIONS} connections to each hub, as when every hub is as busy as one was alone, and once with {SESSIONS} in all. Processor "
             "time is user + system of all hubs together, from `/proc`, from the first message until every queue, shadow and discard is gone; "
             f"idle is what {IDLE_SECONDS} s without mail cost before.")

    def run(self):
        count = self.scaled(30_000)
        self.header = ["connections", "hubs", "messages", "acknowledged/s", "CPU s per 1,000 messages, all hubs", "against 2 hubs", "of it idle work",
                       "idle: CPU ms per second and hub", "fsyncs per message"]
        self.numbers = {"cases": []}
        for size in (1, 2, 3, 5, 7):
            for r in self.both(size, count):
                self.numbers["cases"].append(r)
                self.say(f"{r['sessions']} connections, {size} hubs: {r['cpu'] / count * 1000:.3f} s per 1,000, idle {r['idle'] * 1000:.2f} ms per second and hub")
        each, all_in_all = self.told(count, lambda r: r["each"]), self.told(count, lambda r: not r["each"])
        self.notes = [f"From 2 to 7 hubs the processor time per message grows {each['cpu']:.2f} times with {SESSIONS} connections to each hub (fsyncs per message "
                      f"{each['fsyncs']:.2f} times), and {all_in_all['cpu']:.2f} times with {SESSIONS} in all (fsyncs {all_in_all['fsyncs']:.2f} times).",
                      "Where it goes: every message has one owner and one copy, however many hubs there are, and heartbeats cost what the idle column "
                      "says, growing with the number of hubs. What grows is the share of a commit and of a wake-up that each message pays: "
                      "the fewer messages a hub has at a time, the fewer share one transaction, one fsync and one read from a socket."]

    def told(self, count, which):
        """Rows for these cases; what grew from 2 to 7 hubs."""
        cases = {r["hubs"]: r for r in self.numbers["cases"] if which(r)}
        two, seven = cases[2], cases[7]
        for size, r in cases.items():
            self.rows.append([str(r["sessions"]), str(size), f"{count:,}", nice(r["rate"], 0), nice(r["cpu"] / count * 1000, 3),
                              "–" if size == 1 else nice(r["cpu"] / two["cpu"]), nice(r["idle"] * size * r["seconds"] / count * 1000, 3),
                              nice(r["idle"] * 1000, 2), nice(r["fsyncs"] / count, 3)])
        return {name: seven[name] / max(two[name], 0.01) for name in ("cpu", "fsyncs")}

    def both(self, size, count):
        place = f"hubs-{size}"
        folder = self.place(place)
        sink = load.Sink(folder, ledger=False).start()
        results = []
        try:
            with running(folder, size, sink.address) as hubs:
                sent = max(200, count // 20)
                fill(folder, [hub.address for hub in hubs], sent)
                quiet(hubs)
                time.sleep(1)
                idle = cpu(hubs)
                time.sleep(IDLE_SECONDS)
                idle = grown(cpu(hubs), idle) / IDLE_SECONDS / size
                for each in (True, False) if size > 1 else (True,):
                    sent += count
                    results.append({"hubs": size, "each": each, "idle": idle, **self.one(folder, hubs, sink, SESSIONS * (size if each else 1), count, sent)})
        finally:
            sink.stop()
        self.done_with(place)
        return results + ([{**results[0], "each": False}] if size == 1 else [])

    def one(self, folder, hubs, sink, sessions, count, sent):
        before = cpu(hubs), syncs(hubs)
        begin = time.monotonic()
        result = fill(folder, [hub.address for hub in hubs], count, sessions=sessions)
        sink.wait_for(sent, 300)
        quiet(hubs)
        return {"sessions": sessions, "seconds": time.monotonic() - begin, "cpu": grown(cpu(hubs), before[0]),
                "fsyncs": grown(syncs(hubs), before[1]), "rate": result["messages_per_second"]}
