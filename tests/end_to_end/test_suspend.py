"""An operator suspends listeners and deliveries by name: their clients keep the mail, or it waits here; it lasts over a restart, and ends by itself."""
import json
import time

from lab.case import LabCase
from lab.hub import route_to
from lab.process import wait_until
from lab.talk import Talk, session


class Suspend(LabCase):
    def setUp(self):
        super().setUp()
        self.back_end = self.capture()
        self.rest = self.capture()
        self.relay = self.hub(routes=[route_to(self.back_end.address, name="backend", domains=["back.example"]), route_to(self.rest.address, name="rest")])

    def send(self, recipient):
        with session(self.relay.address) as talk:
            return talk.send_mail(sender="a@source.example", recipients=[recipient], data="Subject: x\r\n\r\nx\r\n")

    def suspended(self):
        return json.loads(self.relay.umbra("suspensions", "--output", "json").stdout)["suspended"]

    def test_the_delivery_to_one_destination_waits_over_a_kill_until_it_is_resumed(self):
        said = self.relay.umbra("suspend", "delivery", "route:backend", "--reason", "moved to another rack, ünd so on").stdout
        self.assertIn("delivery route:backend for 0 s: moved to another rack, ünd so on", said)
        self.assertEqual(self.send("x@back.example")[0], 250)
        self.assertEqual(self.send("x@other.example")[0], 250)
        self.rest.wait_for(1)
        self.relay.kill()
        self.relay.start()
        time.sleep(2)
        self.assertEqual(self.back_end.messages, [])
        self.assertEqual([(one["what"], one["name"]) for one in self.suspended()], [("delivery", "route:backend")])
        self.assertIn("suspended   delivery route:backend", self.relay.umbra("status").stdout)
        self.assertIn('umbra_suspensions{what="delivery"} 1', self.relay.http("/metrics")[1])
        self.relay.umbra("resume", "delivery", "route:backend")
        self.back_end.wait_for(1)
        self.relay.wait_empty(10)
        again = self.relay.umbra("resume", "delivery", "route:backend", check=False)
        self.assertEqual(again.returncode, 4)
        self.assertIn("delivery route:backend is not suspended", again.stderr)

    def test_mail_of_a_sender_or_for_a_domain_waits_and_other_mail_of_the_destination_passes(self):
        self.relay.umbra("suspend", "domain", "moving.example", "--reason", "it moves")
        self.relay.umbra("suspend", "sender", "@noisy.example")
        self.assertEqual(self.send("x@moving.example")[0], 250)
        with session(self.relay.address) as talk:
            self.assertEqual(talk.send_mail(sender="b@noisy.example", recipients=["y@other.example"], data="Subject: x\r\n\r\nx\r\n")[0], 250)
        self.assertEqual(self.send("z@other.example")[0], 250)
        self.rest.wait_for(1)
        time.sleep(1)
        self.assertEqual([message.addresses for message in self.rest.messages], [["z@other.example"]])
        self.relay.kill()
        self.relay.start()
        time.sleep(1)
        self.assertEqual([(one["what"], one["name"]) for one in self.suspended()], [("domain", "moving.example"), ("sender", "@noisy.example")])
        self.assertIn("4.3.2 the delivery of mail of its sender", self.relay.umbra("queue", "list").stdout)
        self.relay.umbra("resume", "domain", "moving.example")
        self.relay.umbra("resume", "sender", "@noisy.example")
        self.rest.wait_for(3)
        self.relay.wait_empty(10)

    def test_clients_of_a_suspended_listener_are_told_to_come_again_until_its_end(self):
        with session(self.relay.address) as talk:
            self.relay.umbra("suspend", "listener", "default", "--for", "3s")
            self.assertEqual(talk.reply()[0], 421)
        with Talk(self.relay.address) as talk:
            self.assertEqual(talk.greeting[0], 421)
        self.assertIn("the listeners are suspended", self.relay.http("/healthz/ready")[1])
        wait_until(self.relay.ready, 10, lambda: "ready again")
        self.assertEqual(self.send("x@other.example")[0], 250)
        self.assertEqual(self.suspended(), [])

    def test_what_is_not_there_cannot_be_suspended(self):
        for arguments, code, why in [(("listener", "other"), 4, "there is no listener other"), (("listener",), 2, "say a NAME, or --all"),
                                     (("delivery", "a.example", "--all"), 2, "say a NAME, or --all"), (("delivery", "--all", "--for", "soon"), 2, "no span of time"),
                                     (("domain", "*"), 1, "expected a domain"), (("sender", "nobody"), 1, "expected user@example.com")]:
            done = self.relay.umbra("suspend", *arguments, check=False)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(why, done.stderr)
