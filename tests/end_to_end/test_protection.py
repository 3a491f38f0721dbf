"""How well mail is protected: copies, zones, delayed acknowledgement, copying again."""
import time

from lab.case import LabCase
from lab.process import wait_until
from lab.talk import session

LATER = "451 4.2.1 later"


class Copies(LabCase):
    def test_two_copies_survive_the_loss_of_two_hubs_with_their_disks(self):
        capture = self.capture()
        capture.rcpt_reply = lambda address: LATER
        # One hub of three is no majority: it would keep the mail, and wait.
        cluster = self.cluster(3, capture.address, listener={"copies": 2}, cluster={"ownership": "pairwise"},
                               delivery={"retry": [{"wait": "1s"}]})
        first, second, third = cluster.hubs
        with session(first.address) as talk:
            code, text = talk.send_mail()
        self.assertEqual(code, 250, text)
        self.assertIn("hub-2", text)
        self.assertIn("hub-3", text)
        self.assertEqual([hub.counts()["shadows"] for hub in cluster.hubs], [0, 1, 1])
        for hub in (first, second):
            hub.kill()
            hub.throw_disk_away()
        capture.rcpt_reply = lambda address: None
        wait_until(lambda: len(capture.messages) == 1, 30, "delivery by the last hub")
        wait_until(lambda: third.counts()["messages"] == 0, 10, "its record")

    def test_copies_go_to_another_zone_and_are_refused_where_there_must_be_one(self):
        capture = self.capture()
        capture.rcpt_reply = lambda address: LATER
        cluster = self.cluster(3, capture.address, zones=["east", "east", "west"], listener={"zones": "only_other_zone"}, start=False)
        # The last hub is alone in its zone: its copies go east.
        cluster.start()
        with session(cluster.hubs[0].address) as talk:
            for _ in range(4):
                code, text = talk.send_mail()
                self.assertEqual(code, 250, text)
        self.assertEqual([hub.counts()["shadows"] for hub in cluster.hubs], [0, 0, 4])
        cluster.hubs[2].kill()
        with session(cluster.hubs[0].address) as talk:
            code, text = talk.send_mail()
        self.assertEqual(code, 451, text)

    def test_a_large_body_is_copied_while_it_comes_in(self):
        capture = self.capture()
        capture.rcpt_reply = lambda address: LATER
        cluster = self.cluster(2, capture.address)
        line = b"x" * 76 + b"\r\n"
        body = b"Subject: large\r\n\r\n" + line * (40_000_000 // len(line))
        with session(cluster.hubs[0].address, timeout=60) as talk:
            for command in ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.com>", "DATA"):
                talk.say(command)
            talk.send(body)
            began = time.monotonic()
            code, text = talk.say(".")
            took = time.monotonic() - began
        self.assertEqual(code, 250, text)
        print(f"[40 MB: 250 after {took * 1000:.0f} ms]", end=" ", flush=True)
        self.assertEqual(cluster.hubs[0].metric("umbra_shadows_made_early_total"), 1)
        cluster.hubs[0].kill()
        capture.rcpt_reply = lambda address: None
        wait_until(lambda: len(capture.messages) == 1, 40, "delivery of the copy")
        self.assertTrue(capture.messages[0].octets.endswith(line))
        self.assertGreaterEqual(len(capture.messages[0].octets), len(body))


class DelayedAcknowledgement(LabCase):
    def begin(self, **listener):
        self.next_hop = self.capture()
        self.hubs = self.cluster(2, self.next_hop.address, shadow="prefer", cluster={"copy_timeout": "1s"},
                                 listener={"max_acknowledgement_delay": "3s", **listener})
        self.hubs.hubs[1].kill()
        return self.hubs.hubs[0]

    def event(self, hub, kind):
        """The log is written in the background."""
        wait_until(lambda: hub.events(kind), 5, f"the event {kind}")
        return hub.events(kind)[0]

    def hand_in(self, hub):
        began = time.monotonic()
        with session(hub.address, timeout=20) as talk:
            code, text = talk.send_mail()
        self.assertEqual(code, 250, text)
        return time.monotonic() - began

    def test_the_250_follows_the_delivery(self):
        hub = self.begin()
        self.hand_in(hub)
        self.assertEqual(len(self.next_hop.messages), 1)
        self.assertEqual(self.event(hub, "acknowledgement_delayed")["outcome"], "delivered")
        self.assertEqual(hub.counts()["messages"], 0)

    def test_the_250_comes_in_time_and_the_mail_is_kept(self):
        hub = self.begin()
        self.next_hop.rcpt_reply = lambda address: LATER
        took = self.hand_in(hub)
        self.assertGreater(took, 2.5)
        self.assertLess(took, 8)
        self.assertEqual(self.event(hub, "acknowledgement_delayed")["outcome"], "timed out")
        self.assertEqual(hub.counts()["unprotected"], 1)
        self.assertEqual(hub.metric("umbra_acknowledgements_delayed_in_vain_total"), 1)
        self.assertNotIn("tarpit", hub.log.read_text().lower())

    def test_a_client_that_goes_away_meanwhile_leaves_its_mail_here(self):
        hub = self.begin(max_acknowledgement_delay="20s")
        self.next_hop.rcpt_reply = lambda address: LATER
        with session(hub.address) as talk:
            for command in ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.com>", "DATA"):
                talk.say(command)
            talk.send("Subject: x\r\n\r\nx\r\n.\r\n")
            wait_until(lambda: hub.metric("umbra_acknowledgements_waiting") == 1, 10, "a waiting acknowledgement")
        self.hubs.hubs[1].start()
        wait_until(lambda: hub.metric("umbra_acknowledgements_waiting") == 0, 15, "the end of the wait")
        self.assertEqual(self.event(hub, "acknowledgement_delayed")["outcome"], "protected")
        self.assertEqual(hub.counts()["messages"], 1)

    def test_too_many_do_not_wait(self):
        hub = self.begin(max_acknowledgement_delay="20s", delayed_acknowledgements=1)
        self.next_hop.rcpt_reply = lambda address: LATER
        with session(hub.address) as talk:
            for command in ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.com>", "DATA"):
                talk.say(command)
            talk.send("Subject: x\r\n\r\nx\r\n.\r\n")
            wait_until(lambda: hub.metric("umbra_acknowledgements_waiting") == 1, 10, "a waiting acknowledgement")
            self.assertLess(self.hand_in(hub), 5)
        self.assertEqual(self.event(hub, "acknowledgement_not_delayed")["reason"], "too many are waiting")


class CopyingAgain(LabCase):
    def test_a_rolling_restart_copies_nothing_and_the_gauge_comes_back_to_0(self):
        capture = self.capture()
        capture.rcpt_reply = lambda address: LATER
        cluster = self.cluster(3, capture.address, lease="6s", delivery={"retry": [{"wait": "10min"}]})
        for hub in cluster.hubs:
            with session(hub.address) as talk:
                for _ in range(30):
                    self.assertEqual(talk.send_mail()[0], 250)
        stored = lambda: sum(len(hub.events("shadow_stored")) for hub in cluster.hubs)
        wait_until(lambda: stored() == 90, 5, "90 copies in the logs")
        for hub in cluster.hubs:
            hub.stop()
            hub.start()
            cluster.wait_joined()
            wait_until(lambda: all(h.metric("umbra_unprotected_messages") == 0 for h in cluster.hubs), 30, "the gauge at 0")
        self.assertEqual(stored(), 90)
        self.assertEqual(sum(hub.counts()["messages"] for hub in cluster.hubs), 90)

    def test_mail_of_a_lost_holder_is_copied_at_the_configured_rate(self):
        capture = self.capture()
        capture.rcpt_reply = lambda address: LATER
        cluster = self.cluster(3, capture.address, cluster={"reprotect_after": "1s", "reprotect_rate": 20},
                               delivery={"retry": [{"wait": "10min"}]})
        first = cluster.hubs[0]
        with session(first.address) as talk:
            for _ in range(120):
                self.assertEqual(talk.send_mail()[0], 250)
        lost = max(cluster.hubs[1:], key=lambda hub: hub.counts()["shadows"])
        count = lost.counts()["shadows"]
        lost.kill()
        wait_until(lambda: first.metric("umbra_unprotected_messages") >= count - 20, 15, "the loss in the gauge", pause=0.05)
        began = time.monotonic()
        wait_until(lambda: first.metric("umbra_unprotected_messages") == 0, 60, "protection again", pause=0.1)
        self.assertGreater(time.monotonic() - began, (count - 45) / 20, "faster than its rate")
        other, = (hub for hub in cluster.hubs[1:] if hub is not lost)
        self.assertGreaterEqual(other.counts()["shadows"], 120)
