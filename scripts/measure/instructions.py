"""Instructions per message: work that can be counted where seconds are noise."""
import re
import shutil
import signal
import subprocess

from lab import hub as hubs, load, places

from .common import Figure, fill, nice, quiet

SESSIONS = 20


class Instructions(Figure):
    key = "instructions"
    title = "Instructions per message"
    about = ("Messages of 4 KB, taken, kept, sent to a sink and forgotten, with all that counts and logs them. The hub runs under valgrind's callgrind, which counts "
             "its instructions (user space); what a start and a stop cost is told apart by running it with fewer messages and taking the difference.")

    def run(self):
        if not shutil.which("valgrind"):
            raise RuntimeError("valgrind is not installed")
        few, many = self.scaled(500), self.scaled(2500)
        self.header = ["hubs", "instructions per message", "where"]
        self.numbers = {"few": few, "many": many, "cases": []}
        for size in (1, 2):
            counts = [self.one(size, count) for count in (few, many)]
            each = [(after - before) / (many - few) for before, after in zip(*counts, strict=True)]
            self.numbers["cases"].append({"hubs": size, "counts": counts, "each": each})
            for value, where in zip(each, ("the hub that takes it", "the hub that keeps the copy"), strict=False):
                self.rows.append([str(size), nice(value / 1000, 0) + "k", "alone" if size == 1 else where])
                self.say(f"{size} hubs, {where}: {value:,.0f} instructions per message")

    def one(self, size, count):
        """Instructions of each hub."""
        place = f"instructions-{size}-{count}"
        folder = self.place(place)
        # Names of functions are not wanted, and reading them takes valgrind long.
        program = folder / "umbra"
        subprocess.run(["strip", "-o", str(program), str(places.UMBRA)], check=True)
        sink = load.Sink(folder, ledger=False).start()
        routes = [hubs.route_to(sink.address)]
        if size == 1:
            members = [hubs.Hub(folder / "hub-1", "hub-1", routes, shadow="none")]
        else:
            members = hubs.Cluster(folder, size, routes, shadow="require", lease="60s", cluster={"heartbeat": "5s"}).hubs
        try:
            for one in members:
                one.program = program
                one.wrapper = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
                one.start(wait=False)
            for one in members:
                one.wait_ready(120)
            fill(folder, [members[0].address], count, sessions=SESSIONS)
            sink.wait_for(count, 300)
            quiet(members)
            return [self.ended(one) for one in members]
        finally:
            for one in members:
                one.stop()
            sink.stop()
            self.done_with(place)

    @staticmethod
    def ended(hub):
        hub.process.signal(signal.SIGTERM)
        hub.process.wait(120)
        return int(re.search(r"Collected : (\d+)", hub.process.said()).group(1))
