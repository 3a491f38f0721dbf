"""The operator's commands against a running hub."""
import json
import subprocess
import unittest

from lab import places
from lab.case import LabCase
from lab.hub import route_to
from lab.process import wait_until
from lab.talk import session


class Operator(LabCase):
    def setUp(self):
        super().setUp()
        self.home = self.capture()
        self.away = self.capture()
        self.away.rcpt_reply = lambda address: "451 4.2.1 come back later"
        self.relay = self.hub(routes=[route_to(self.home.address, name="home", domains=["source.example"]),
                                      route_to(self.away.address, name="away")])

    def queue_one(self, recipients=("b@sink.example",)):
        """A message that waits in the queue; gives its id."""
        with session(self.relay.address) as talk:
            code, text = talk.send_mail(recipients=recipients)
        self.assertEqual(code, 250, text)
        listed = wait_until(lambda: [m for m in self.relay.queue() if m["attempts"] > 0], 10, "an attempt")
        self.assertIn(listed[-1]["id"], text, "the 250 names the message")
        return listed[-1]["id"]

    def test_queue_list_and_show_tell_what_waits_and_why(self):
        message = self.queue_one(("b@sink.example", "c@sink.example"))
        listed = self.relay.queue()
        self.assertEqual(len(listed), 1)
        self.assertEqual(listed[0]["sender"], "a@source.example")
        self.assertEqual(listed[0]["state"], "queued")
        self.assertIn("451 4.2.1 come back later", listed[0]["last_error"])
        shown = json.loads(self.relay.umbra("queue", "show", message, "--output", "json").stdout)
        self.assertEqual([r["address"] for r in shown["recipients"]], ["b@sink.example", "c@sink.example"])
        self.assertIn(message, self.relay.umbra("queue", "list").stdout)
        self.assertIn("b@sink.example", self.relay.umbra("queue", "show", message).stdout)

    def test_retry_delivers_at_once(self):
        message = self.queue_one()
        self.away.rcpt_reply = lambda address: None
        self.relay.umbra("queue", "retry", message)
        self.away.wait_for(1)
        self.relay.wait_empty(10)

    def test_a_held_message_stays_until_it_is_released(self):
        message = self.queue_one()
        self.relay.umbra("queue", "hold", message)
        self.away.rcpt_reply = lambda address: None
        self.assertEqual(self.relay.queue()[0]["state"], "held")
        self.assertNotEqual(self.relay.umbra("queue", "retry", message, check=False).returncode, 0)
        with session(self.relay.address) as talk:
            self.assertEqual(talk.send_mail(recipients=["later@sink.example"])[0], 250)
        self.assertEqual(self.away.wait_for(1)[0].addresses, ["later@sink.example"], "mail that came later passes it")
        self.relay.umbra("queue", "release", message)
        self.assertEqual([m.addresses for m in self.away.wait_for(2)], [["later@sink.example"], ["b@sink.example"]])
        self.relay.wait_empty(10)

    def test_a_held_message_is_still_held_after_a_restart(self):
        message = self.queue_one()
        self.relay.umbra("queue", "hold", message)
        self.away.rcpt_reply = lambda address: None
        self.assertEqual(self.relay.stop(), 0)
        self.relay.start()
        self.assertEqual([(m["id"], m["state"]) for m in self.relay.queue()], [(message, "held")])
        self.relay.umbra("queue", "release", message)
        self.away.wait_for(1)

    def test_bounce_ends_a_message_with_a_notification(self):
        message = self.queue_one()
        self.relay.umbra("queue", "bounce", message)
        self.assertIn(b"multipart/report", self.home.wait_for(1)[0].octets)
        self.relay.wait_empty(10)
        self.assertEqual(self.away.messages, [])

    def test_a_message_that_is_not_there_is_an_error(self):
        for command in ("show", "retry", "hold", "release", "bounce"):
            done = self.relay.umbra("queue", command, "0123456789abcdef-10000000001", check=False)
            self.assertNotEqual(done.returncode, 0, command)
            self.assertIn("0123456789abcdef-10000000001", done.stderr + done.stdout)
        self.assertNotEqual(self.relay.umbra("queue", "show", "nonsense", check=False).returncode, 0)

    def test_status_health_and_metrics_agree_with_the_spool(self):
        self.queue_one()
        self.assertEqual(self.relay.counts()["messages"], 1)
        self.assertEqual(self.relay.http("/healthz/live")[0], 200)
        self.assertEqual(self.relay.http("/healthz/ready")[0], 200)
        self.assertEqual(self.relay.http("/v1/queue")[0], 404, "no commands over TCP")
        self.assertEqual(self.relay.metric("umbra_messages_accepted_total"), 1)
        self.assertEqual(self.relay.metric("umbra_recipients_deferred_total"), self.relay.queue()[0]["attempts"])
        self.assertIn("hub-1", self.relay.umbra("status").stdout)

    def test_every_event_of_a_message_is_in_the_log(self):
        message = self.queue_one()
        self.away.rcpt_reply = lambda address: None
        self.relay.umbra("queue", "retry", message)
        self.relay.wait_empty(10)
        events = wait_until(lambda: [e["event"] for e in self.relay.events() if e["id"] == message and e["event"] == "delivered"] and
                            [e["event"] for e in self.relay.events() if e["id"] == message], 5, "the delivery in the log")
        self.assertEqual(events[0], "accepted")
        self.assertIn("deferred", events)
        self.assertLess(events.index("deferred"), events.index("delivered"))

    def test_check_names_file_and_line_of_what_is_wrong(self):
        broken = self.folder / "broken.yaml"
        broken.write_text("hub:\n  name: hub-1\nspool:\n  directory: spool\n  reserve: plenty\nlisteners: 7\ncolour: blue\n")
        done = subprocess.run([places.UMBRA, "check", broken], capture_output=True, text=True, timeout=30, check=False)
        self.assertNotEqual(done.returncode, 0)
        said = done.stdout + done.stderr
        for line in (5, 6, 7):
            self.assertIn(f"{broken}:{line}:", said)
        self.assertEqual(subprocess.run([places.UMBRA, "check", self.relay.config], capture_output=True, timeout=30, check=False).returncode, 0)


if __name__ == "__main__":
    unittest.main()
