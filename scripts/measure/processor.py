"""Processor time per message by the number of hubs on one machine."""
import time

from lab import load, process

from .common import Figure, cpu, fill, grown, nice, running, syncs

IDLE_SECONDS = 10


class Processor(Figure):
    key = "processor"
    title = "Processor time per message, 1 to 7 hubs on one machine"
    about = ("The same number of 4 KB messages over all hubs, 50 connections, delivered at once to one sink; 1 hub alone without a copy, from "
             "2 on `shadow: require`. Processor time is user + system of all hubs together, from `/proc`, from the first message until every "
             "queue, shadow and discard is gone, and what as many idle seconds before cost is shown beside it.")

    def run(self):
        count = self.scaled(30_000)
        self.header = ["hubs", "messages", "acknowledged/s", "CPU s per 1,000 messages, all hubs", "against 2 hubs", "of it idle work",
                       "idle: CPU ms per second and hub", "fsyncs per message"]
        self.numbers = {"cases": []}
        for size in (1, 2, 3, 5, 7):
            self.numbers["cases"].append(self.one(size, count))
            r = self.numbers["cases"][-1]
            self.say(f"{size} hubs: {r['cpu'] / count * 1000:.3f} s per 1,000, idle {r['idle'] * 1000:.2f} ms per second and hub")
        two = self.numbers["cases"][1]
        for r in self.numbers["cases"]:
            self.rows.append([str(r["hubs"]), f"{count:,}", nice(r["rate"], 0), nice(r["cpu"] / count * 1000, 3),
                              "–" if r["hubs"] == 1 else nice(r["cpu"] / two["cpu"]), nice(r["idle"] * r["hubs"] * r["seconds"] / count * 1000, 3),
                              nice(r["idle"] * 1000, 2), nice(r["fsyncs"] / count, 3)])
        seven = self.numbers["cases"][-1]
        self.notes = [f"From 2 to 7 hubs the processor time per message grows {seven['cpu'] / two['cpu']:.2f} times while fsyncs per message grow "
                      f"{seven['fsyncs'] / max(1, two['fsyncs']):.2f} times. Where it goes: heartbeats cost little (idle columns); the same load over "
                      "more hubs comes to each in smaller batches, so that commits, reads and writes on sockets are shared by fewer "
                      "messages each. Every message still has one owner and one copy."]

    def one(self, size, count):
        place = f"hubs-{size}"
        folder = self.place(place)
        sink = load.Sink(folder, ledger=False).start()
        try:
            with running(folder, size, sink.address) as hubs:
                warm = max(200, count // 20)
                fill(folder, [hub.address for hub in hubs], warm)
                self.quiet(hubs)
                time.sleep(1)
                idle = cpu(hubs)
                time.sleep(IDLE_SECONDS)
                idle = grown(cpu(hubs), idle) / IDLE_SECONDS / size
                before = cpu(hubs), syncs(hubs)
                begin = time.monotonic()
                result = fill(folder, [hub.address for hub in hubs], count)
                sink.wait_for(warm + count, 300)
                self.quiet(hubs)
                seconds = time.monotonic() - begin
                after = cpu(hubs), syncs(hubs)
        finally:
            sink.stop()
        self.done_with(place)
        return {"hubs": size, "cpu": grown(after[0], before[0]), "idle": idle, "seconds": seconds, "rate": result["messages_per_second"],
                "fsyncs": grown(after[1], before[1])}

    @staticmethod
    def quiet(hubs):
        gauges = ("umbra_queue_messages", "umbra_shadow_messages", "umbra_outbox_discards")
        process.wait_until(lambda: all(hub.metric(name) == 0 for hub in hubs for name in gauges), 60, "nothing left anywhere", pause=0.2)
