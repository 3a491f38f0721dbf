"""The outcomes as text: a line while it runs, and docs/network-faults.md."""
import json

from lab import places

PAGE = places.ROOT / "docs" / "network-faults.md"

HEAD = """# Faults with real processes

<!-- Made by `tests/network/run --record` from what it measured. -->

Each hub, each member of etcd, the source and the sink is a process in a network namespace of its own, on a bridge; partitions are made by
dropping packets at the receiver (iptables), wall clocks jump by libfaketime. The load is `umbra-load source`, at 150 messages a second to all hubs, under
`shadow: require`; the next hop is `umbra-load sink`, which takes 20 ms for each message and puts 30 % of the attempts off for 2 s (75 % where a hub leaves or has the wrong disk), so that there is
always mail in the queues. `lease` is 3 s here (default 10 s), `heartbeat` 500 ms, `restart_grace` 3 s. `majority` and `etcd` have three hubs, `pairwise` two.

A run passes when nothing was lost, nothing was unexpected, every message was acknowledged in the end, every duplicate is explained, and after the fault was healed every
hub became empty (queue, shadows, outbox) with `umbra_unprotected_messages` 0. `make test-network` runs all of it, `tests/network/run NAME/MODE` one.

The eight counts are those of `umbra-load ledger` ([umbra-load](umbra-load.md#ledger)). Behind *duplicated* stands why: *resent* by the source, which had no reply; *announced* by a
hub as possible duplicate (event in the log, `umbra_possible_duplicates_total`); in the *window*: delivered within 1 s before the fault or in the time after it in which a hub that
was cut off may deliver but can tell nobody (three heartbeats; a lease under pairwise). The
build is the CMake preset that was run: `dev` is without optimisation. *First* is the time from the fault to the first delivery of what was taken over, where there was one.

"""


def counts(outcome):
    why = ", ".join(f"{outcome[name]} {name}" for name in ("resent", "announced", "window", "unexplained") if outcome[name])
    text = " ".join(f"{name} {outcome[name]}" for name in ("attempted", "acknowledged", "delivered", "lost", "unexpected"))
    text += f" duplicated {outcome['duplicated']}" + (f" ({why})" if why else "")
    text += f" recovered {outcome['recovered']} undecided {outcome['undecided']}"
    if outcome["resubmitted_after"]:
        text += f"; first after {outcome['resubmitted_after']} s"
    return text


def write(folder, scenarios):
    lines = ["| scenario | mode | attempted | acknowledged | delivered | lost | unexpected | duplicated | recovered | undecided | first | date, build |",
             "|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for name, (_, modes, _) in scenarios.items():
        for mode in modes:
            file = folder / f"{name}-{mode}.json"
            if not file.exists():
                continue
            o = json.loads(file.read_text())
            why = ", ".join(f"{o[w]} {w}" for w in ("resent", "announced", "window") if o[w])
            first = f"{o['resubmitted_after']} s" if o["resubmitted_after"] else ""
            lines.append(f"| `{name}` | {mode} | {o['attempted']} | {o['acknowledged']} | {o['delivered']} | {o['lost']} | {o['unexpected']} | "
                         f"{o['duplicated']}{f' ({why})' if why else ''} | {o['recovered']} | {o['undecided']} | {first} | {o['date']}, {o['build']} |")
    told = ["", "## The scenarios", "", "| scenario | what happens |", "|---|---|"]
    for name, (function, _, _) in scenarios.items():
        told.append(f"| `{name}` | {' '.join(function.__doc__.split())} |")
    PAGE.write_text(HEAD + "\n".join(lines + told) + "\n")
