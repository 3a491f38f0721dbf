"""Memory and start-up of one hub with a long queue."""
import time

from lab import hub as hubs, load, places, process
from lab.talk import session

from .common import Figure, fill, in_queue, nice, queued


class Memory(Figure):
    key = "memory"
    title = "Memory and start-up with a long queue"
    about = ("One hub, the whole process, with a queue for a next hop that refuses connections, filled over SMTP. Then it is stopped and "
             "started with that spool. Start-up runs from `exec` to the `250` of a message that a client sent as soon as the port was open.")

    def run(self):
        self.header = ["queued", "octets per message", "accepted/s while filling", "resident after filling", "start to the first 250", "resident 5 s later"]
        self.numbers = {"cases": []}
        for count, size in ((0, 1024), (100_000, 1024), (1_000_000, 1024)):
            count = self.scaled(count)
            r = self.one(count, size)
            self.say(f"{count:,} queued: {r['started']:.2f} s, {r['resident_later']:.0f} MB")
            self.numbers["cases"].append(r)
            self.rows.append([f"{count:,}", f"{size:,}", nice(r["rate"], 0) if count else "–", nice(r["resident"], 0) + " MB", nice(r["started"]) + " s",
                              nice(r["resident_later"], 0) + " MB"])
        self.notes = ["Where it goes: only what is due soon is in memory, and start-up reads counts and the first page of what is due, not "
                      "the queue."]

    def one(self, count, size):
        place = f"queue-{count}"
        folder = self.place(place)
        dead = f"127.0.0.1:{places.free_port()}"
        hub = hubs.Hub(folder / "hub-1", "hub-1", [hubs.route_to(dead)])
        try:
            hub.start()
            rate = 0
            if count:
                rate = fill(folder, hub.address, count, size=size, seconds=1200)["messages_per_second"]
                queued(hub, count)
            resident = process.resident_mb(hub.process.pid)
            if hub.stop(60) != 0:
                raise RuntimeError("the hub did not stop in order")
            begin = time.monotonic()
            hub.start(wait=False)
            process.wait_until(lambda: load._listens(hub.port), 60, "the port", pause=0.005)
            process.wait_until(lambda: self.takes_mail(hub), 60, "a 250", pause=0.005)
            started = time.monotonic() - begin
            time.sleep(5)
            later = process.resident_mb(hub.process.pid)
            if in_queue(hub) != count + 1:
                raise RuntimeError(f"{in_queue(hub)} in the queue, {count + 1} were acknowledged")
        finally:
            hub.stop()
        self.done_with(place)
        return {"queued": count, "rate": rate, "resident": resident, "started": started, "resident_later": later}

    @staticmethod
    def takes_mail(hub):
        try:
            with session(hub.address) as talk:
                return talk.send_mail()[0] == 250
        except OSError:
            return False
