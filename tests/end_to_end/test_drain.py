"""Pause, drain and leave: with load, with hubs killed in the middle, and what a script learns from the exit codes."""
import json
import signal
import subprocess
import threading
import time
import unittest

from lab import load, places
from lab.case import LabCase
from lab.etcd import ETCD, Etcd
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

    def refused_replies(self, source):
        """Replies other than 250 to what the load sent, by text without ids: how many."""
        found = {}
        for line in source.ledger.read_text().splitlines():
            if line.startswith("refused "):
                code_and_text = line.split(" ", 4)[4]
                found[code_and_text] = found.get(code_and_text, 0) + 1
        return found

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
        # The drained hub turns its own clients away; nobody else has to: there are two hubs for every copy.
        replies = self.refused_replies(self.source)
        print(f"[replies: {replies}]", end=" ", flush=True)
        self.assertEqual([text for text in replies if "4.4.0" in text], [])
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

    def begin(self, *more):
        self.later_sink = self.later()
        self.addCleanup(self.later_sink.stop)
        self.hubs = self.cluster(3, self.later_sink.address, delivery={"retry": [{"wait": "1s"}]})
        self.source = load.Source(self.folder, self.hubs.addresses, "--sessions", 30, "--messages", self.MESSAGES, "--rate", 1500)
        self.addCleanup(self.source.stop)
        self.assertEqual(self.source.process.wait(60), 0)
        self.leaver = self.hubs.hubs[1]
        self.command = self.begin_order(self.leaver, "leave", "--unready-wait", "0s", "--rate", 100, *more)
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
        self.assertEqual(self.command.wait(10), 1, "no answer for 5 s")
        self.leaver.start(wait=False)
        wait_until(lambda: self.leaver.http("/healthz/live")[0] == 200, 30, "it lives")
        self.end()

    def test_a_leave_that_goes_on_after_a_kill_keeps_its_rate_and_its_targets(self):
        self.begin("--to", "hub-3")
        self.leaver.kill()
        self.leaver.start(wait=False)
        wait_until(lambda: self.leaver.http("/healthz/live")[0] == 200, 30, "it lives")
        wait_until(lambda: self.report(self.leaver)["handed_over"] > 0, 30, "it goes on")
        begun, before = time.monotonic(), self.report(self.leaver)["handed_over"]
        time.sleep(1.5)
        handed = self.report(self.leaver)["handed_over"] - before
        # 100 a second, the burst of a quarter of a second, and the 64 that may be under way; the usual rate is 2,000.
        self.assertLessEqual(handed, 100 * (time.monotonic() - begun) + 26 + 64)
        self.assertEqual(list(self.report(self.leaver)["handed_to"]), ["hub-3"])
        self.end()

    def test_the_leaver_is_killed_and_stays_when_a_stateful_set_has_started_it_again(self):
        self.begin()
        self.leaver.kill()
        self.leaver.start(wrapper=("env", "UMBRA_STATEFULSET=umbra"))
        self.assertEqual(self.report(self.leaver)["state"], "active")
        # For good: the intent is gone from the spool, too.
        self.leaver.kill()
        self.leaver.start()
        self.assertEqual(self.report(self.leaver)["state"], "active")

    def test_the_epoch_of_the_leaver_is_ended_and_the_command_goes_on(self):
        self.begin()
        epoch = self.leaver.metric("umbra_spool_epoch")
        self.leaver.process.signal(signal.SIGSTOP)
        others = [hub for hub in self.hubs.hubs if hub is not self.leaver]
        wait_until(lambda: sum(hub.metric("umbra_messages_taken_over_total") for hub in others) > 0, 30, "a take-over")
        self.leaver.process.signal(signal.SIGCONT)
        said, _ = self.command.communicate(timeout=90)
        self.assertEqual(self.command.returncode, 0, said[-2000:])
        self.assertIn("left", said)
        self.assertGreater(self.leaver.metric("umbra_spool_epoch"), epoch)
        self.assertGreater(self.report(self.leaver)["handed_over"], 50, "what was handed over before counts")
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

    def test_a_drained_hub_whose_epoch_was_ended_meanwhile_takes_no_mail_again(self):
        cluster = self.queued()
        hub = cluster.hubs[0]
        time.sleep(1)
        code, said = self.order(hub, "drain", "--unready-wait", "0s", "--return-within", "1s")
        self.assertEqual(code, 0, said)
        self.assertGreater(hub.counts()["messages"], 0, "nothing to be taken over")
        epoch = hub.metric("umbra_spool_epoch")
        hub.process.signal(signal.SIGSTOP)
        wait_until(lambda: sum(other.metric("umbra_messages_taken_over_total") for other in cluster.hubs[1:]) > 0, 30, "the take-over")
        hub.process.signal(signal.SIGCONT)
        wait_until(lambda: hub.metric("umbra_spool_epoch") > epoch, 20, "its next epoch")
        report = self.report(hub)
        self.assertEqual((report["state"], report["verb"]), ("drained", "drain"), report)
        self.assertFalse(hub.ready())
        with Talk(hub.address, greeting=False) as talk:
            code, text = talk.reply()
            self.assertEqual((code, text[:5]), (421, "4.3.2"), text)
        self.assertEqual(self.order(hub, "undrain")[0], 0)
        wait_until(hub.ready, 10, "ready again")

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

    def promise_is_kept_over_a_restart_of_a_holder(self, cluster):
        """The first hub is drained and stopped for 16 s; a holder is killed and started again meanwhile."""
        hub = cluster.hubs[0]
        time.sleep(1)
        code, said = self.order(hub, "drain", "--unready-wait", "0s", "--return-within", "16s")
        self.assertEqual(code, 0, said)
        kept = hub.counts()["messages"]
        self.assertGreater(kept, 0, f"nothing stayed on the drained hub: {said}")
        self.assertEqual(hub.stop(), 0)
        stopped = time.monotonic()
        holder = next(other for other in cluster.alive() if other.counts()["shadows"] > 0)
        holder.kill()
        holder.start(wait=False)
        wait_until(lambda: holder.http("/healthz/live")[0] == 200, 20, "the holder lives")
        taken = lambda: sum(other.metric("umbra_messages_taken_over_total") for other in cluster.alive())
        while time.monotonic() < stopped + 14:
            self.assertEqual(taken(), 0, f"{time.monotonic() - stopped:.1f} s")
            time.sleep(0.3)
        for witness in (other for other in cluster.alive() if other is not holder):
            peer = next(peer for peer in witness.status()["peers"] if peer["hub"] == hub.name)
            self.assertGreater(peer["silent_for_seconds"], 12, "it waits for it, and says for how long it has heard nothing")
        wait_until(lambda: taken() == kept, 25, lambda: f"the take-over of {kept}: {taken()}")
        self.assertGreater(time.monotonic() - stopped, 15)

    def test_a_holder_that_is_restarted_meanwhile_keeps_the_promise_under_majority(self):
        self.promise_is_kept_over_a_restart_of_a_holder(self.queued())

    def test_a_holder_that_is_restarted_meanwhile_keeps_the_promise_under_pairwise_ownership(self):
        self.promise_is_kept_over_a_restart_of_a_holder(self.queued(2))

    @unittest.skipUnless(ETCD, "needs etcd (Debian: etcd-server)")
    def test_a_holder_that_is_restarted_meanwhile_keeps_the_promise_with_etcd(self):
        etcd = Etcd(self.folder)
        self.addCleanup(etcd.stop)
        etcd.start()
        self.promise_is_kept_over_a_restart_of_a_holder(
            self.queued(3, cluster={"ownership": "etcd", "arbiter": {"endpoints": etcd.addresses}}, lease="3s"))

    def test_a_hub_that_hands_a_large_message_over_stops_at_once_and_nothing_is_lost(self):
        later = self.later()
        self.addCleanup(later.stop)
        cluster = self.cluster(3, later.address, delivery={"retry": [{"wait": "2s"}]}, lease="30s", limits={"message_size": "200MiB"})
        hub, *others = cluster.hubs
        with session(hub.address) as talk:
            for line in ("MAIL FROM:<a@source.example>", "RCPT TO:<b@sink.example>"):
                self.assertEqual(talk.say(line)[0], 250)
            self.assertEqual(talk.say("DATA")[0], 354)
            talk.send("Subject: large\r\n\r\n" + ("x" * 998 + "\r\n") * 80_000)
            code, text = talk.say(".")
            self.assertEqual(code, 250, text)
        command = self.begin_order(hub, "leave", "--unready-wait", "0s")
        wait_until(lambda: self.report(hub)["in_flight"] == 1, 10, "the hand-over", pause=0.01)
        for other in others:
            other.process.signal(signal.SIGSTOP)
        begun = time.monotonic()
        self.assertEqual(hub.stop(), 0)
        took = time.monotonic() - begun
        print(f"[stopped in {took:.1f} s]", end=" ", flush=True)
        self.assertLess(took, 10)
        for other in others:
            other.process.signal(signal.SIGCONT)
        command.wait(20)
        later.start()
        hub.start(wait=False)
        later.wait_for(1, 60)
        cluster.wait_empty(60)
        self.assertEqual(later.counts()["messages"], 1)

    def test_the_last_hub_is_incomplete_at_once_and_keeps_its_mail(self):
        cluster = self.queued(2)
        cluster.hubs[1].kill()
        begun = time.monotonic()
        code, said = self.order(cluster.hubs[0], "leave", "--unready-wait", "0s")
        self.assertIn(code, (3, 4), said)  # 4 once the other one counts as silent: nobody knows whether its copies are there
        self.assertIn("no other hub is active", said)
        self.assertLess(time.monotonic() - begun, 8)
        self.assertEqual(cluster.hubs[0].counts()["messages"], 3)
        self.assertEqual(self.order(cluster.hubs[0], "undrain")[0], 0)
        self.assertEqual(self.report(cluster.hubs[0])["state"], "active")

    def test_while_one_is_drained_a_client_waits_for_a_hub_that_stands_still_for_a_moment(self):
        """Two hubs are left for every copy. One of them stalls until its promise is late: no reason for a 451."""
        cluster = self.queued(lease="6s")
        first, drained, stalled = cluster.hubs
        code, said = self.order(drained, "drain", "--unready-wait", "0s", "--return-within", "60s")
        self.assertEqual(code, 0, said)
        with session(first.address) as talk:
            self.assertEqual(talk.send_mail()[0], 250)
            stalled.process.signal(signal.SIGSTOP)
            timer = threading.Timer(6.3, lambda: stalled.process.signal(signal.SIGCONT))
            timer.start()
            self.addCleanup(timer.join)
            time.sleep(5.7)  # its last promise was for 5.4 s
            begun = time.monotonic()
            code, text = talk.send_mail()
            self.assertEqual(code, 250, text)
            self.assertGreater(time.monotonic() - begun, 0.3, "it waited for the hub")

    def test_a_dry_run_changes_nothing(self):
        cluster = self.queued()
        hub = cluster.hubs[0]
        before = hub.counts()
        for verb in ("drain", "leave"):
            done = hub.umbra(verb, "--dry-run", "--output", "json")
            preview = json.loads(done.stdout)
            self.assertEqual((preview["verb"], preview["queue"], preview["targets"], preview["lose_last_copy"]), (verb, 3, ["hub-2", "hub-3"], 0))
        done = hub.umbra("leave", "--dry-run", "--to", "hub-3")
        self.assertIn("Active hubs of those that are named: hub-3.", done.stdout)
        done = hub.umbra("leave", "--dry-run", "--to", "hub-9", check=False)
        self.assertEqual((done.returncode, done.stderr.strip()), (5, "umbra: there is no hub hub-9 in this cluster"))
        self.assertEqual(hub.counts(), before)
        self.assertEqual(self.report(hub)["state"], "active")
        self.assertTrue(hub.ready())

    def test_a_dry_run_names_what_only_a_dead_hub_holds_too(self):
        cluster = self.queued(messages=6)
        hub, *others = cluster.hubs
        time.sleep(1)  # tried once, and waiting
        dead = max(others, key=lambda other: other.counts()["shadows"])
        copies = {shadow["id"] for shadow in json.loads(dead.umbra("shadow", "list", "--output", "json").stdout)["shadows"]}
        self.assertGreater(len(copies), 0)
        dead.kill()
        done = hub.umbra("drain", "--dry-run", "--output", "json")
        preview = json.loads(done.stdout)
        self.assertEqual((preview["lose_last_copy"], set(preview["lose_last_copy_ids"])), (len(copies), copies), preview)
        said = hub.umbra("drain", "--dry-run").stdout
        self.assertIn(f"{len(copies)} messages would lose their last copy", said)
        self.assertEqual(json.loads(hub.umbra("leave", "--dry-run", "--output", "json").stdout)["lose_last_copy"], 0, "the third hub takes all")

    def test_a_hub_that_has_left_is_a_hub_again_when_it_is_undrained(self):
        cluster = self.queued()
        hub, *others = cluster.hubs
        code, said = self.order(hub, "leave", "--unready-wait", "0s")
        self.assertEqual(code, 0, said)
        self.assertEqual(self.report(hub)["state"], "left")
        self.assert_nothing_is_left_on(hub)
        self.assertEqual(self.order(hub, "drain")[0], 5, "what has left cannot be drained")
        epoch = hub.status()["epoch"]
        self.assertEqual(self.order(hub, "undrain")[0], 0)
        # "left" is the last word of a run: the process begins the next one.
        wait_until(lambda: json.loads(hub.umbra("status", "--output", "json", check=False).stdout or "{}").get("epoch") == epoch + 1, 10, "a new run")
        hub.wait_ready()
        self.assertEqual(self.report(hub)["state"], "active")
        wait_until(lambda: all(peer["state"] == "alive" for other in others for peer in other.status()["peers"]), 10, "all are active")
        before = hub.metric("umbra_shadows_stored_total")
        for sender, count in ((hub, 4), (others[0], 8)):
            with session(sender.address) as talk:
                wait_until(lambda: talk.send_mail()[0] == 250, 10, "mail taken again", pause=0.3)
                for _ in range(count - 1):
                    self.assertEqual(talk.send_mail()[0], 250)
        self.assertGreater(hub.metric("umbra_shadows_stored_total"), before, "copies are placed on it again")
        # It is killed: what it accepted since is delivered by its holders, what it holds is not missing.
        hub.kill()
        hub.throw_disk_away()
        hub.start(wait=False)
        self.later_sink.start()
        self.later_sink.wait_for(3 + 4 + 8, 60)
        cluster.wait_empty(60)
        self.assertEqual(self.later_sink.counts()["messages"], 3 + 4 + 8)

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
        # Undrained meanwhile.
        command = self.begin_order(hub, "drain", "--unready-wait", "60s")
        wait_until(lambda: self.report(hub)["state"] == "unready", 5, "the drain")
        self.assertEqual(self.order(hub, "undrain")[0], 0)
        said, _ = command.communicate(timeout=20)
        self.assertEqual(command.returncode, 6, said)
        # A deadline that has passed: work is left, and each message has another copy.
        code, said = self.order(hub, "leave", "--unready-wait", "0s", "--deadline", "0s")
        self.assertEqual(code, 3, said)

    def test_work_that_is_left_without_another_copy_exits_with_4(self):
        cluster = self.cluster(2, "127.0.0.1:9", shadow="prefer", listener={"on_failure": "accept"}, delivery={"retry": [{"wait": "30s"}]})
        hub, other = cluster.hubs
        other.kill()
        with session(hub.address) as talk:
            wait_until(lambda: hub.metric("umbra_cluster_members_alive") == 1, 10, "the other one is missed")
            self.assertEqual(talk.send_mail()[0], 250)
        wait_until(lambda: hub.metric("umbra_unprotected_messages") == 1, 10, "it is unprotected")
        for order in (("leave", "--unready-wait", "0s"), ("leave", "--unready-wait", "0s", "--deadline", "0s")):
            code, said = self.order(hub, *order)
            self.assertEqual(code, 4, said)
        self.assertEqual(hub.counts()["messages"], 1)
