"""Pause, drain and leave: with load, with hubs killed in the middle, and what a script learns from the exit codes."""
import json
import subprocess
import time

from lab import load, places
from lab.case import LabCase
from lab.process import wait_until
from lab.talk import Talk, session


class DrainCase(LabCase):
    def later(self):
        """A next hop that is not there yet; start() it."""
        return load.Sink(self.folder, name="later")

    def begin_order(self, hub, *words):
        """An operator's command under way in the background."""
        argv = [str(places.UMBRA), *map(str, words), "--socket", str(hub.socket)]
        command = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(lambda: (command.poll() is None and command.kill(), command.wait(), command.stdout.close()))
        return command

    def order(self, hub, *words):
        """Runs it to its end; (exit code, what it said)."""
        command = self.begin_order(hub, *words)
        said, _ = command.communicate(timeout=100)
        return command.returncode, said

    def report(self, hub):
        return json.loads(hub.umbra("drain", "status", "--output", "json").stdout)

    def assert_nothing_is_left_on(self, hub):
        counts = hub.counts()
        self.assertEqual([counts[name] for name in ("messages", "ceded", "shadows", "outbox")], [0, 0, 0, 0], counts)

    def finish_load(self, source, messages, sinks, hubs):
        code, result = source.finish(120)
        self.assertEqual(code, 0, result)
        hubs.wait_empty(60)
        for sink in sinks:
            sink.stop()
        ledger = load.ledger([source.ledger], [sink.ledger for sink in sinks])
        self.assert_nothing_lost(ledger)
        self.assertEqual(ledger["acknowledged"], messages)
        print(f"[{ledger['duplicated']} duplicates, {ledger['duplicated_resent']} of them resent by the source]", end=" ", flush=True)
        return ledger


class UnderLoad(DrainCase):
    MESSAGES = 4000

    def begin(self, next_hop):
        self.hubs = self.cluster(3, next_hop, delivery={"retry": [{"wait": "1s"}]})
        self.source = load.Source(self.folder, self.hubs.addresses, "--sessions", 30, "--messages", self.MESSAGES, "--rate", 1000)
        self.addCleanup(self.source.stop)
        wait_until(lambda: self.source.acknowledged() > self.MESSAGES // 4, 60, "a quarter of the load")

    def test_a_drained_hub_is_stopped_and_comes_back_while_mail_flows(self):
        target = self.sink("--delay", "20")
        self.begin(target.address)
        hub = self.hubs.hubs[1]
        code, said = self.order(hub, "drain", "--unready-wait", "1s")
        self.assertEqual(code, 0, said)
        self.assertIn("drained", said)
        counts = hub.counts()
        self.assertEqual([counts["messages"], counts["outbox"]], [0, 0], counts)
        self.assertEqual(hub.stop(), 0)
        time.sleep(3)  # longer than the lease
        self.assertEqual([other.metric("umbra_messages_taken_over_total") for other in self.hubs.alive()], [0, 0])
        hub.start()
        self.hubs.wait_joined()
        with session(hub.address) as talk:
            self.assertEqual(talk.say("NOOP")[0], 250)
        self.finish_load(self.source, self.MESSAGES, [target], self.hubs)

    def test_a_hub_leaves_while_mail_flows_and_its_disk_may_go(self):
        later = self.later()  # so everything is still queued when it leaves
        self.addCleanup(later.stop)
        self.begin(later.address)
        hub = self.hubs.hubs[1]
        code, said = self.order(hub, "leave", "--unready-wait", "1s")
        self.assertEqual(code, 0, said)
        self.assertIn("left", said)
        self.assert_nothing_is_left_on(hub)
        self.assertGreater(self.report(hub)["handed_over"], 0)
        self.assertGreater(self.report(hub)["rehomed"], 0)
        hub.kill()
        hub.throw_disk_away()
        later.start()
        self.finish_load(self.source, self.MESSAGES, [later], self.hubs)


class KilledInTheMiddle(DrainCase):
    """Every message is queued on three hubs, none can be delivered; one hub leaves slowly, and somebody dies."""

    MESSAGES = 1500

    def begin(self):
        self.later_sink = self.later()
        self.addCleanup(self.later_sink.stop)
        self.hubs = self.cluster(3, self.later_sink.address, delivery={"retry": [{"wait": "1s"}]})
        self.source = load.Source(self.folder, self.hubs.addresses, "--sessions", 30, "--messages", self.MESSAGES, "--rate", 1500)
        self.addCleanup(self.source.stop)
        self.assertEqual(self.source.process.wait(60), 0)
        self.leaver = self.hubs.hubs[1]
        self.command = self.begin_order(self.leaver, "leave", "--unready-wait", "0s", "--rate", 100)
        wait_until(lambda: self.report(self.leaver)["handed_over"] > 50, 30, "the middle of it")

    def end(self):
        wait_until(lambda: self.report(self.leaver)["state"] not in ("unready", "closing", "handing_over"), 90,
                   lambda: f"the end of it: {self.report(self.leaver)}", pause=0.3)
        report = self.report(self.leaver)
        self.assertEqual((report["state"], report["exit_code"]), ("left", 0), report)
        self.assert_nothing_is_left_on(self.leaver)
        self.command.wait(10)  # it looks every 200 ms
        self.leaver.kill()
        self.leaver.throw_disk_away()
        self.later_sink.start()
        self.finish_load(self.source, self.MESSAGES, [self.later_sink], self.hubs)

    def test_the_leaver_is_killed_and_goes_on_when_it_is_started_again(self):
        self.begin()
        self.leaver.kill()
        self.assertNotEqual(self.command.wait(10), 0)
        self.leaver.start(wait=False)
        wait_until(lambda: self.leaver.http("/healthz/live")[0] == 200, 30, "it lives")
        self.end()

    def test_a_receiver_is_killed_and_comes_back(self):
        self.begin()
        receiver = self.hubs.hubs[2]
        receiver.kill()
        time.sleep(1)
        receiver.start()
        self.end()
        self.assertEqual(self.command.returncode, 0)

    def test_a_receiver_is_killed_and_its_disk_is_lost(self):
        self.begin()
        receiver = self.hubs.hubs[2]
        receiver.kill()
        receiver.throw_disk_away()
        receiver.start(wait=False)
        self.end()


class OneAtATime(DrainCase):
    def queued(self, size=3, messages=3, **options):
        """A cluster whose first hub has mail that cannot be delivered yet."""
        self.later_sink = self.later()
        self.addCleanup(self.later_sink.stop)
        cluster = self.cluster(size, self.later_sink.address, delivery={"retry": [{"wait": "30s"}]}, **options)
        with session(cluster.hubs[0].address) as talk:
            for _ in range(messages):
                code, text = talk.send_mail()
                self.assertEqual(code, 250, text)
        wait_until(lambda: json.loads(cluster.hubs[0].umbra("status", "--output", "json").stdout)["queue"]["messages"] == messages, 5, "the queue")
        return cluster

    def test_holders_wait_as_long_as_the_drained_hub_said_and_no_longer(self):
        # Three hubs: ownership is by majority.
        cluster = self.queued()
        hub = cluster.hubs[0]
        time.sleep(1)  # tried once, and waiting: nothing is due
        code, said = self.order(hub, "drain", "--unready-wait", "0s", "--return-within", "9s")
        self.assertEqual(code, 0, said)
        kept = hub.counts()["messages"]
        self.assertEqual(hub.stop(), 0)
        stopped = time.monotonic()
        others = cluster.alive()
        if kept == 0:
            self.fail(f"nothing stayed on the drained hub: {said}")
        while time.monotonic() < stopped + 7.5:
            self.assertEqual([other.metric("umbra_messages_taken_over_total") for other in others], [0, 0], f"{time.monotonic() - stopped:.1f} s")
            time.sleep(0.3)
        wait_until(lambda: sum(other.metric("umbra_messages_taken_over_total") for other in others) == kept, 15, "the take-over")
        self.assertGreater(time.monotonic() - stopped, 8)

    def test_a_dead_next_hop_does_not_keep_a_drain_waiting(self):
        # None of it was ever tried: the destination is, with one message at a time, and the rest stays due.
        cluster = self.queued(messages=300)
        hub = cluster.hubs[0]
        wait_until(lambda: hub.metric("umbra_connect_failures_total") > 0, 10, "an attempt")
        begun = time.monotonic()
        code, said = self.order(hub, "drain", "--unready-wait", "0s", "--rate", "10")
        self.assertEqual(code, 0, said)
        self.assertLess(time.monotonic() - begun, 8)
        self.assertLess(self.report(hub)["handed_over"], 30)
        self.assertGreater(hub.counts()["messages"], 270)

    def test_the_last_hub_is_incomplete_at_once_and_keeps_its_mail(self):
        cluster = self.queued(2)
        cluster.hubs[1].kill()
        begun = time.monotonic()
        code, said = self.order(cluster.hubs[0], "leave", "--unready-wait", "0s")
        self.assertIn(code, (3, 4), said)
        self.assertIn("no other hub is active", said)
        self.assertLess(time.monotonic() - begun, 8)
        self.assertEqual(cluster.hubs[0].counts()["messages"], 3)
        self.assertEqual(self.order(cluster.hubs[0], "undrain")[0], 0)
        self.assertEqual(self.report(cluster.hubs[0])["state"], "active")

    def test_a_dry_run_changes_nothing(self):
        cluster = self.queued()
        hub = cluster.hubs[0]
        before = hub.counts()
        for verb in ("drain", "leave"):
            done = hub.umbra(verb, "--dry-run", "--output", "json")
            preview = json.loads(done.stdout)
            self.assertEqual((preview["verb"], preview["queue"], preview["targets"], preview["lose_last_copy"]), (verb, 3, ["hub-2", "hub-3"], 0))
        self.assertEqual(hub.counts(), before)
        self.assertEqual(self.report(hub)["state"], "active")
        self.assertTrue(hub.ready())

    def test_undrain_and_resume_open_the_hub_again(self):
        cluster = self.queued()
        hub = cluster.hubs[0]
        for verb, back in (("drain", "undrain"), ("pause", "resume")):
            code, said = self.order(hub, verb, "--unready-wait", "0s")
            self.assertEqual(code, 0, said)
            self.assertEqual(hub.http("/healthz/ready")[0], 503)
            with Talk(hub.address, greeting=False) as talk:
                code, text = talk.reply()
                self.assertEqual((code, text[:5]), (421, "4.3.2"), text)
            self.assertEqual(self.order(hub, back)[0], 0)
            wait_until(hub.ready, 5, "ready again")
            with session(hub.address) as talk:
                wait_until(lambda: talk.send_mail()[0] == 250, 5, "mail taken again", pause=0.3)
        wait_until(lambda: all(peer["state"] == "alive" for other in cluster.hubs for peer in other.status()["peers"]), 5, "all are active")

    def test_a_client_in_the_middle_of_a_message_ends_it_and_is_turned_away_then(self):
        cluster = self.queued()
        hub = cluster.hubs[0]
        with session(hub.address) as talk:
            for line in ("MAIL FROM:<a@source.example>", "RCPT TO:<b@sink.example>", "DATA"):
                code, text = talk.say(line)
            self.assertEqual(code, 354, text)
            command = self.begin_order(hub, "drain", "--unready-wait", "0s")
            wait_until(lambda: self.report(hub)["state"] == "closing", 5, "closing")
            talk.send("Subject: in the middle\r\n\r\nhello\r\n")
            code, text = talk.say(".")
            self.assertEqual(code, 250, text)
            self.assertEqual([code for code, _ in talk.until_closed()], [421])
        said, _ = command.communicate(timeout=60)
        self.assertEqual(command.returncode, 0, said)

    def test_what_is_refused_exits_with_5_and_what_is_misspelt_with_2(self):
        cluster = self.queued()
        hub = cluster.hubs[0]
        self.assertEqual(self.order(hub, "drain", "--to", "nobody")[0], 5)
        self.assertEqual(self.order(hub, "drain", "--deadline", "soon")[0], 2)
        self.assertEqual(self.order(hub, "drain", "--detach", "--unready-wait", "60s")[0], 0)
        self.assertEqual(self.order(hub, "leave")[0], 5)
        self.assertEqual(self.order(hub, "undrain")[0], 0)
        # A deadline that has passed: work is left, and each message has another copy.
        code, said = self.order(hub, "leave", "--unready-wait", "0s", "--deadline", "0s")
        self.assertEqual(code, 3, said)
