"""Memory of a hub whose next hop is away for a day."""
import time

from lab import hub as hubs, load, places, process

from .common import Figure, fill, gauge, nice, queued

TRIES = 150  # of the default ladder in 24 hours: 4 after a minute each, 6 after five, then one every ten


class Outage(Figure):
    key = "outage"
    title = "Memory in a day-long outage"
    about = ("One hub with a queue for a next hop that refuses connections, filled over SMTP; a client goes on sending ten messages a second. The ladder is one try every two "
             f"seconds in place of ten minutes, so that the tries of a day ({TRIES}) take five minutes; resident memory of the whole process is read every five seconds.")

    def run(self):
        self.header = ["queued", "tries", "resident after filling", "most during the outage", "at its end", "delivered when the next hop is back, messages/s", "resident then"]
        count = self.scaled(200_000)
        folder = self.place("outage")
        port = places.free_port()
        hub = hubs.Hub(folder / "hub-1", "hub-1", [hubs.route_to(f"127.0.0.1:{port}")], delivery={"retry": [{"wait": "2s"}]})
        steady = sink = None
        try:
            hub.start()
            fill(folder, hub.address, count, size=1024, seconds=1200)
            queued(hub, count)
            filled = process.resident_mb(hub.process.pid)
            steady = load.Source(folder, hub.address, "--rate", 10, "--messages", 1_000_000, "--sessions", 2, "--quiet", name="steady")
            samples, end = [], time.monotonic() + 2 * self.scaled(TRIES)
            while time.monotonic() < end:
                time.sleep(5)
                samples.append(process.resident_mb(hub.process.pid))
            tries = gauge(hub, "umbra_connect_failures_total")
            steady.process.signal(15)
            steady.finish(30)
            waiting = hub.counts()["messages"]
            sink = load.Sink(folder, port=port, ledger=False).start()
            begin = time.monotonic()
            hub.wait_empty(1200)
            rate = waiting / (time.monotonic() - begin)
            after = process.resident_mb(hub.process.pid)
        finally:
            for part in (steady, hub, sink):
                if part:
                    part.stop()
        self.numbers = {"filled_mb": filled, "samples_mb": samples, "after_mb": after, "tries": tries, "waiting": waiting, "rate": rate}
        self.say(f"{waiting:,} queued: {filled:.0f} MB, at most {max(samples):.0f} MB, {samples[-1]:.0f} MB at the end")
        self.rows.append([f"{waiting:,}", nice(tries, 0) if tries else "–", nice(filled, 0) + " MB", nice(max(samples), 0) + " MB", nice(samples[-1], 0) + " MB", nice(rate, 0),
                          nice(after, 0) + " MB"])
        self.done_with("outage")
