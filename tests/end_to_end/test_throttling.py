"""Throttling policies: a client that sends more than its policy gives is told when to come again, and the others do not notice."""
import subprocess

from lab import places
from lab.case import LabCase
from lab.process import wait_until
from lab.talk import Talk, session


class Throttling(LabCase):
    def sent_until_refused(self, *addresses, most=100):
        """Messages that were taken, one to each address in turn, and the first refusal."""
        talks = [session(address) for address in addresses]
        for talk in talks:
            self.addCleanup(talk.close)
        for count in range(most):
            reply = talks[count % len(talks)].send_mail()
            if reply[0] != 250:
                return count, reply
        self.fail(f"none of {most} was refused")

    def test_messages_and_connections_by_the_minute(self):
        capture = self.capture()
        hub = self.hub(capture.address, throttling=[
            {"name": "default", "message_rate_limit": 5, "connections": 3},
            {"name": "others", "networks": ["10.0.0.0/8"], "message_rate_limit": 1},
        ])
        count, (code, text) = self.sent_until_refused(hub.address)
        self.assertEqual((count, code), (5, 450), text)
        self.assertRegex(text, r"^4\.7\.1 at most 5 messages a minute, try again in [1-9][0-9]? s$")
        with session(hub.address), session(hub.address):
            with Talk(hub.address, greeting=False) as fourth:
                self.assertEqual(fourth.reply(), (421, "4.7.0 at most 3 connections at once, try again later"))
        self.assertEqual(hub.metric("umbra_throttled_total"), 2)
        capture.wait_for(5)
        hub.wait_empty(10)

    def test_hubs_share_a_limit_while_they_hear_one_another(self):
        capture = self.capture()
        hubs = self.cluster(2, capture.address, shadow="none", throttling=[
            {"name": "default", "message_rate_limit": 10, "scope": "cluster"}])
        count, (code, text) = self.sent_until_refused(*hubs.addresses)
        self.assertEqual((count, code), (10, 450), text)
        self.assertIn("at most 5 messages", text)
        hubs.hubs[1].kill()
        with session(hubs.hubs[0].address) as talk:
            wait_until(lambda: talk.send_mail()[0] == 250, 20, "the part of the hub that is gone")

    def test_a_policy_for_a_listener_that_does_not_exist_is_refused(self):
        hub = self.hub("127.0.0.1:9", start=False, throttling=[{"name": "a", "listeners": ["nowhere"]}, {"name": "a"}])
        hub.write_config()
        done = subprocess.run([places.UMBRA, "check", hub.config], capture_output=True, text=True, timeout=30, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('there is no listener "nowhere"', done.stdout + done.stderr)
        self.assertIn("is the name of another policy", done.stdout + done.stderr)
