"""How long drain and leave take, by what is queued and whether the next hop takes mail; and what a hand-over costs."""
import json

from lab import load, process

from .common import Figure, command, cpu, fill, gauge, grown, in_queue, nice, queued, running, syncs

DEFAULT_RATE = 2000  # --rate of drain and leave
NO_LIMIT = 1_000_000


class Drain(Figure):
    key = "drain"
    title = "Drain and leave"
    about = ("Three hubs, `shadow: require`, messages of 4 KB, all queued on one of them while its next hop refuses connections, tried again "
             "every 2 s. Then either a next hop starts at that address that takes 20 ms for a message, on at most 20 connections of each hub, and "
             "has taken the first (*alive*), or none does (*dead*), and that hub is told `umbra drain` (be safe to stop; identity and disk stay) or `umbra leave` (hand everything over; the disk may go), with `--unready-wait 0s` "
             "instead of the 5 s that it gives load balancers. Time is that of the command; CPU and fsyncs are those of all three hubs over it.")

    def run(self):
        self.header = ["queued", "next hop", "order", "time", "ended as", "delivered", "handed over", "shadows given to others", "handed over or given/s", "fsyncs each",
                       "CPU ms each"]
        cases = [(verb, count, alive, DEFAULT_RATE, 0) for count in (0, 1000, 100_000) for verb in ("drain", "leave") for alive in (True, False)]
        cases.append(("leave", 100_000, False, NO_LIMIT, 0))
        cases.append(("leave", 100_000, False, DEFAULT_RATE, 1))
        self.numbers = {"cases": []}
        for verb, count, alive, rate, index in cases:
            count = self.scaled(count)
            words = f"{verb}, {count:,} queued, next hop {'alive' if alive else 'dead'}" + (", no limit" if rate == NO_LIMIT else "") + (
                ", by a hub that holds shadows only" if index else "")
            place = f"{verb}-{count}-{'alive' if alive else 'dead'}-{rate}-{index}"
            try:
                result = self.one(place, verb, count, alive, rate, index)
            except Exception as error:  # one case's trouble is its row
                self.say(f"{words}: FAILED: {error}")
                self.rows.append([f"{count:,}", "alive" if alive else "dead", f"`{verb}`", self.why(error)] + [""] * 7)
                continue
            self.say(f"{words}: {result['seconds']:.2f} s, {result['handed']} handed over, {result['delivered']} delivered")
            self.numbers["cases"].append(result)
            self.rows.append(self.row(result))
        self.explain()

    def one(self, place, verb, count, alive, rate, index):
        folder = self.place(place)
        sink = load.Sink(folder, "--delay", "20", ledger=False)
        with running(folder, 3, sink.address, delivery={"retry": [{"wait": "2s"}]}) as hubs:
            if count:
                fill(folder, hubs[0].address, count)
                queued(hubs[0], count)
            try:
                if alive:
                    sink.start()
                    if count:  # until the hub has found it
                        process.wait_until(lambda: sink.counts()["messages"] > 0, 30, "the first delivery", pause=0.02)
                before = cpu(hubs), syncs(hubs), gauge(hubs[index], "umbra_recipients_delivered_total")
                deadline = 600
                code, seconds, said = command(hubs[index], verb, "--unready-wait", "0s", "--rate", rate, "--deadline", f"{deadline}s")
                after = cpu(hubs), syncs(hubs)
                report = json.loads(hubs[index].umbra("drain", "status", "--output", "json").stdout)
                result = {"verb": verb, "queued": count, "alive": alive, "rate": rate, "seconds": seconds, "exit_code": code,
                          "state": report["state"], "handed": report["handed_over"], "rehomed": report["rehomed"],
                          "delivered": int(gauge(hubs[index], "umbra_recipients_delivered_total") - before[2]), "index": index, "left": in_queue(hubs[index]),
                          "cpu": grown(after[0], before[0]), "fsyncs": grown(after[1], before[1]), "report": report}
            finally:
                sink.stop()
        self.done_with(place)
        return result

    def row(self, r):
        handed = r["handed"] + r["rehomed"]
        name = f"`{r['verb']}`" + (" `--rate 1000000`" if r["rate"] == NO_LIMIT else "") + (" by a hub that holds shadows of it" if r["index"] else "")
        each = handed >= 100
        return [f"{r['queued']:,}", "alive" if r["alive"] else "dead", name, nice(r["seconds"]) + " s",
                r["state"] + (f" (code {r['exit_code']})" if r["exit_code"] else "") + (f", {r['left']:,} kept" if r["left"] else ""),
                f"{r['delivered']:,}", f"{r['handed']:,}", f"{r['rehomed']:,}",
                nice(handed / r["seconds"], 0) if each else "–", nice(r["fsyncs"] / handed, 3) if each else "–",
                nice(r["cpu"] / handed * 1000, 2) if each else "–"]

    def explain(self):
        self.notes = ["Where the time goes: `drain` hands over what is due and could be delivered elsewhere as well; mail for a next hop that cannot be "
                      "reached stays, so a dead one costs it nothing. `leave` hands over everything, at most "
                      f"{DEFAULT_RATE:,} messages per second (its default `--rate`), which leaves the hubs that go on room for their own work."]
        unlimited = [r for r in self.numbers["cases"] if r["rate"] == NO_LIMIT and r["handed"] >= 100]
        for r in unlimited:
            self.notes.append(
                f"Without that limit it is {r['handed'] / r['seconds']:,.0f} per second, with {r['cpu'] / r['seconds']:.1f} processors in use by the hubs: each "
                "message is offered with its body to another hub and committed there, copied from there to the third hub and committed, and "
                "small commits on all three record who owns and who holds it; many messages are under way at once and share the fsyncs.")
        self.notes.append("Command of one case: `umbra leave --unready-wait 0s --rate 2000 --deadline 600s`.")
