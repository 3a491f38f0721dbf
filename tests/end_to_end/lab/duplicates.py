"""Why messages arrived twice. Nothing may be lost; something may come twice, and then it must be known why."""

# Between the reply of a next hop and the discard status at the holder lies the recorder's commit and up to 100 ms; on a busy machine more.
WINDOW_BEFORE, WINDOW_AFTER = 1.0, 0.25


def window(moment, lasts=0.0, *, after=WINDOW_AFTER):
    """(begin, end) in Unix time of what a fault at `moment` excuses: what was delivered then could be told to nobody, nor what is in the
    `lasts` seconds from it."""
    return moment - WINDOW_BEFORE, moment + lasts + after


def explain(found, announced, times, windows):
    """Each duplicate by its best explanation: sent again by the source; announced by a hub as possible duplicate; delivered in the
    moment of a fault.

    `found`: what load.ledger() gave; `announced`: message ids of the hubs' events `possible_duplicate`; `times`: what Sink.delivery_times()
    gave; `windows`: of each fault. Returns ({"resent", "announced", "window", "unexplained"}: how many, [of each unexplained one a text])."""
    counts, unexplained = {"resent": 0, "announced": 0, "window": 0, "unexplained": 0}, []
    for unit in found["first_duplicated"]:
        moments = sorted(when / 1e6 for when in times[unit["token"]])
        ids = {word.strip(",") for word in unit["acknowledgement"].split()}
        if unit["resent"]:
            counts["resent"] += 1
        elif ids & announced:
            counts["announced"] += 1
        elif any(begin <= moments[0] <= end for begin, end in windows):
            counts["window"] += 1
        else:
            counts["unexplained"] += 1
            since = windows[0][0] + WINDOW_BEFORE if windows else 0
            unexplained.append(f"{unit['token']} ({unit['acknowledgement']}) at {[round(moment - since, 3) for moment in moments]}")
    return counts, unexplained
