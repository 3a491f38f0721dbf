"""Hop retention: routes whose next hop is a hub. Chains of hubs, what crosses the wire, and hubs that die in every place."""
import json
import subprocess

from lab import load, places
from lab.case import LabCase
from lab.hub import route_to
from lab.process import wait_until


def to_hubs(*names, name="core", domains=("*",)):
    return {"name": name, "domains": list(domains), "hubs": list(names)}


class ChainCase(LabCase):
    """hub-1 hands its mail to hub-2, that one to hub-3, and hub-3 delivers it."""

    def chain(self, next_hop, **options):
        self.hubs = self.cluster(3, next_hop, start=False, delivery={"retry": [{"wait": "1s"}]}, **options)
        first, middle, last = self.hubs.hubs
        first._settings["routes"] = [to_hubs("hub-2")]
        middle._settings["routes"] = [to_hubs("hub-3")]
        self.hubs.start()
        # A copy goes to the next hop where it can: to the other hub as long as the session for copies is not open.
        wait_until(lambda: next(peer for peer in first.status()["peers"] if peer["hub"] == "hub-2")["takes_copies"], 10, "copies on hub-2")
        return first, middle, last

    def begin(self, messages, *options):
        self.messages = messages
        self.source = load.Source(self.folder, [self.hubs.hubs[0].address], "--sessions", 20, "--messages", messages, *options)
        self.addCleanup(self.source.stop)

    def finish(self, sink, seconds=60):
        code, result = self.source.finish(120)
        self.assertEqual(code, 0, result)
        self.hubs.wait_empty(seconds)
        sink.stop()
        ledger = load.ledger([self.source.ledger], [sink.ledger])
        self.assert_nothing_lost(ledger)
        print(f"[{ledger['acknowledged']} acknowledged, {ledger['duplicated']} duplicates, {ledger['duplicated_resent']} resent]", end=" ", flush=True)
        return ledger


class Chain(ChainCase):
    def test_each_body_crosses_each_hop_once(self):
        sink = self.sink()
        first, middle, last = self.chain(sink.address)
        self.begin(300)
        ledger = self.finish(sink)
        self.assertEqual((ledger["acknowledged"], ledger["duplicated"]), (300, 0))
        handed = [hub.metric("umbra_messages_handed_to_next_hubs_total") for hub in (first, middle, last)]
        self.assertEqual(handed, [300, 300, 0])
        # hub-2 had the bodies already: they are the copies that were made before the 250.
        self.assertEqual([hub.metric("umbra_shadows_made_total") for hub in (first, middle, last)], [300, 0, 0])
        self.assertEqual(first.metric("umbra_handover_body_bytes_total"), 0)
        self.assertEqual(first.metric("umbra_handovers_without_body_total"), 300)
        octets = sum(event["size"] for event in first.events("accepted"))
        self.assertEqual(middle.metric("umbra_handover_body_bytes_total"), octets)
        self.assertEqual(last.metric("umbra_handover_body_bytes_total"), 0)
        self.assertEqual(sum(hub.metric("umbra_unprotected_messages") for hub in self.hubs.hubs), 0)

    def test_two_hubs_hold_what_waits_at_the_end_and_the_first_has_let_go(self):
        later = load.Sink(self.folder, name="later")
        self.addCleanup(later.stop)
        first, middle, last = self.chain(later.address)
        self.begin(100)
        self.source.process.wait(60)
        wait_until(lambda: last.counts()["messages"] == 100 and first.empty(), 30, lambda: [hub.counts() for hub in self.hubs.hubs])
        self.assertEqual([hub.counts()["shadows"] for hub in (first, middle, last)], [0, 100, 0])
        self.assertEqual(middle.counts()["messages"], 0)
        event = middle.events("handed_over")[-1]
        self.assertEqual((event["owner"], event["why"], event["copy"], event["body"]), ("hub-3", "route", "kept", "sent"))
        later.start()
        ledger = self.finish(later)
        self.assertEqual(ledger["duplicated"], 0)

    def test_large_bodies_cross_once_too(self):
        sink = self.sink()
        first, middle, _ = self.chain(sink.address)
        self.begin(5, "--size", 3_000_000)
        self.finish(sink)
        self.assertEqual(first.metric("umbra_handover_body_bytes_total"), 0)
        self.assertGreater(middle.metric("umbra_handover_body_bytes_total"), 15_000_000)


class Trouble(ChainCase):
    MESSAGES = 1500

    def under_load(self, sink):
        hubs = self.chain(sink.address)
        self.begin(self.MESSAGES, "--rate", 500)
        wait_until(lambda: self.source.acknowledged() > self.MESSAGES // 3, 60, "a third of the load")
        return hubs

    def wait_for_a_takeover(self, *hubs):
        wait_until(lambda: sum(hub.metric("umbra_takeovers_total") for hub in hubs) > 0, 30, "what it owned is taken over")

    def test_the_middle_hub_is_killed_and_comes_back(self):
        sink = self.sink("--delay", "20")
        first, middle, last = self.under_load(sink)
        middle.kill()
        self.wait_for_a_takeover(first, last)
        middle.start()
        self.finish(sink)

    def test_the_middle_hub_loses_its_disk(self):
        sink = self.sink("--delay", "20")
        _, middle, _ = self.under_load(sink)
        middle.kill()
        middle.throw_disk_away()
        middle.start()
        self.finish(sink)

    def test_the_last_hub_is_killed_and_comes_back(self):
        sink = self.sink("--delay", "20")
        first, middle, last = self.under_load(sink)
        last.kill()
        self.wait_for_a_takeover(first, middle)
        last.start()
        self.finish(sink)

    def test_the_first_hub_loses_its_disk_for_good(self):
        sink = self.sink("--delay", "20")
        first, middle, _ = self.under_load(sink)
        first.kill()
        first.throw_disk_away()
        self.source.stop()
        # What it had acknowledged and not handed on is taken over by the others, who deliver it by their own routes.
        self.hubs.wait_empty(60)
        sink.stop()
        ledger = load.ledger([self.source.ledger], [sink.ledger])
        self.assert_nothing_lost(ledger)
        self.assertGreater(ledger["acknowledged"], self.MESSAGES // 3)
        self.assertGreaterEqual(middle.metric("umbra_messages_handed_to_next_hubs_total"), 1)


class Routes(LabCase):
    def test_a_list_of_hubs_on_all_of_them_and_one_is_away(self):
        """One configuration for all: hub-2 and hub-3 are the core, by which hub-1 sends."""
        sink = self.sink()
        hubs = self.cluster(3, start=False, routes=[to_hubs("hub-2", "hub-3"), route_to(sink.address, name="out")],
                            delivery={"retry": [{"wait": "1s"}]})
        hubs.start()
        first, second, third = hubs.hubs
        second.kill()
        source = load.Source(self.folder, [first.address], "--sessions", 5, "--messages", 100)
        self.addCleanup(source.stop)
        self.assertEqual(source.finish(60)[0], 0)
        sink.wait_for(100, 30)
        self.assertEqual(third.metric("umbra_recipients_delivered_total"), 100)
        self.assertEqual(first.metric("umbra_recipients_delivered_total"), 0)
        second.start()
        hubs.wait_joined()
        hubs.wait_empty(30)
        ledger = load.ledger([source.ledger], [sink.ledger])
        self.assert_nothing_lost(ledger, duplicates=0)

    def test_no_hub_in_reach_is_told_in_the_queue(self):
        hubs = self.cluster(2, "127.0.0.1:1", start=False, shadow="prefer", listener={"max_acknowledgement_delay": "0s"})
        first, second = hubs.hubs
        first._settings["routes"] = [to_hubs("hub-2")]
        first.start()
        source = load.Source(self.folder, [first.address], "--sessions", 1, "--messages", 1)
        self.addCleanup(source.stop)
        self.assertEqual(source.finish(30)[0], 0)
        wait_until(lambda: "hub-2" in (first.queue()[0].get("last_error") or ""), 20, lambda: first.queue())
        message = first.queue()[0]
        self.assertIn("4.4.1 no hub of the route can be handed mail now: hub-2", message["last_error"])
        shown = first.umbra("queue", "show", message["id"]).stdout
        self.assertIn("no hub of the route can be handed mail now: hub-2", shown)
        self.assertIn("route:core", shown)
        second.start()
        # It is tried again by the ladder; the operator is faster.
        first.umbra("queue", "retry", message["id"])
        wait_until(lambda: second.counts()["messages"] == 1 and first.counts()["shadows"] == 1, 20, lambda: (first.counts(), second.counts()))

    def test_a_loop_of_routes_ends(self):
        hubs = self.cluster(2, start=False)
        first, second = hubs.hubs
        first._settings["routes"] = [to_hubs("hub-2")]
        second._settings["routes"] = [to_hubs("hub-1")]
        hubs.start()
        source = load.Source(self.folder, [first.address], "--sessions", 1, "--messages", 1)
        self.addCleanup(source.stop)
        self.assertEqual(source.finish(30)[0], 0)
        wait_until(lambda: second.queue() and "4.4.6" in (second.queue()[0].get("last_error") or ""), 20, lambda: second.queue())
        self.assertEqual(first.metric("umbra_messages_handed_to_next_hubs_total"), 1)
        self.assertEqual(second.metric("umbra_messages_handed_to_next_hubs_total"), 0)

    def test_a_wrong_list_is_refused_at_its_line(self):
        hubs = self.cluster(2, start=False)
        first = hubs.hubs[0]
        first._settings["routes"] = [to_hubs("hub-9")]
        first.folder.mkdir(parents=True, exist_ok=True)
        first.write_config()
        done = subprocess.run([places.UMBRA, "check", first.config], capture_output=True, text=True, timeout=30, check=False)
        self.assertNotEqual(done.returncode, 0)
        line = 1 + first.config.read_text().split('"hubs"')[0].count("\n")
        self.assertIn(f"hub.yaml:{line}: routes[0].hubs: \"hub-9\" is not in cluster.members", done.stdout + done.stderr)
        self.assertTrue(json.loads(first.config.read_text())["routes"])
