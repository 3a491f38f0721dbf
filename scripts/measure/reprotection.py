"""How long the mail of a hub stays unprotected after the hub that held its shadows is lost."""
import time

from lab import places

from .common import Figure, fill, gauge, in_queue, nice, queued, running

SETTLED_SECONDS = 11  # a lease and a second: a hub that has just started neither votes nor grants before (ownership: majority)


class Reprotection(Figure):
    key = "reprotection"
    title = "Protected again after a holder was lost"
    about = ("Three hubs, `shadow: require`, defaults (`reprotect_after` 1 min, `reprotect_rate` 500 per second) but for a `restart_grace` of 5 s, since "
             "the hubs have only just started; messages of 4 KB queued on one hub for a next hop that refuses connections, so that the other two hold half of the copies each. One of these is "
             "killed with -9 and stays away, or comes back at once with an empty spool. Time runs from the kill; "
             "`umbra_unprotected_messages` of the hub that owns the mail is read four times a second.")

    def run(self):
        self.header = ["queued", "the holder", "first counted as unprotected", "most at once", "all protected again", "copies per second meanwhile"]
        self.numbers = {"cases": []}
        for count, back in ((1000, False), (20_000, False), (20_000, True)):
            count = self.scaled(count)
            words = "comes back with an empty spool" if back else "stays away"
            try:
                r = self.one(count, back)
            except Exception as error:  # one case's trouble is its row
                self.say(f"{count:,}, {words}: FAILED: {error}")
                self.rows.append([f"{count:,}", words, self.why(error), "", "", ""])
                continue
            self.say(f"{count:,}, holder {words}: {r['first']:.1f} s to {r['end']:.1f} s")
            self.numbers["cases"].append(r)
            self.rows.append([f"{count:,}", words, nice(r["first"], 1) + " s", f"{r['most']:,}", nice(r["end"], 1) + " s",
                              nice(r["most"] / max(0.25, r["end"] - r["begin"]), 0)])
        self.notes = ["Where the time goes: a holder that is silent may be restarting, so nothing is copied for `reprotect_after`; then the "
                      "rate limit decides. One that says it has lost its spool is not waited for."]

    def one(self, count, back):
        place = f"{count}-{'back' if back else 'away'}"
        folder = self.place(place)
        with running(folder, 3, f"127.0.0.1:{places.free_port()}", cluster={"restart_grace": "5s"}) as hubs:
            time.sleep(SETTLED_SECONDS)
            owner, lost = hubs[0], hubs[2]
            fill(folder, owner.address, count)
            queued(owner, count)
            killed = time.monotonic()
            lost.kill()
            if back:
                lost.throw_disk_away()
                lost.start(wait=False)
            first = begin = None
            most = last = 0
            while True:
                now, value = time.monotonic() - killed, int(gauge(owner, "umbra_unprotected_messages"))
                if value and first is None:
                    first = now
                if value < last and begin is None:
                    begin = now  # the copying
                most, last = max(most, value), value
                if first is not None and value == 0:
                    break
                if now > 300:
                    raise TimeoutError(f"{value} unprotected after 300 s, at most {most}")
                time.sleep(0.25)
            if in_queue(owner) != count:
                raise RuntimeError(f"{in_queue(owner)} in the queue, {count} were acknowledged")
        self.done_with(place)
        return {"queued": count, "back": back, "first": first, "most": most, "begin": begin or first, "end": now}
