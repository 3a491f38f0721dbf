"""Who may send where: closed by default, and mail that no route takes."""
import email
import time

from lab.case import LabCase
from lab.hub import route_to
from lab.talk import session


class RelayRights(LabCase):
    def test_nobody_may_relay_unless_a_network_is_named(self):
        capture = self.capture()
        hub = self.hub(capture.address, networks=())
        with session(hub.address) as talk:
            self.assertEqual(talk.say("MAIL FROM:<a@source.example>")[0], 250)
            code, text = talk.say("RCPT TO:<b@sink.example>")
            self.assertEqual(code, 550)
            self.assertIn("5.7.1", text)
            self.assertIn(talk.say("DATA")[0], (503, 554))
        time.sleep(0.5)
        self.assertEqual(capture.messages, [])

    def test_only_the_networks_named_may_relay(self):
        capture = self.capture()
        hub = self.hub(capture.address, networks=("192.0.2.0/24", "127.0.0.1"))
        with session(hub.address) as talk:
            self.assertEqual(talk.send_mail()[0], 250)
        capture.wait_for(1)

    def test_mail_that_no_route_takes_is_returned(self):
        home = self.capture()
        hub = self.hub(routes=[route_to(home.address, name="home", domains=["source.example"])])
        with session(hub.address) as talk:
            self.assertEqual(talk.send_mail(recipients=["b@nowhere.example"])[0], 250)
        notification = email.message_from_bytes(home.wait_for(1)[0].octets)
        self.assertIn("5.4.4", notification.as_string())
        hub.wait_empty(10)

    def test_the_most_specific_route_wins(self):
        exact, below, rest = self.capture(), self.capture(), self.capture()
        hub = self.hub(routes=[route_to(rest.address, name="rest"), route_to(below.address, name="below", domains=["*.sink.example"]),
                               route_to(exact.address, name="exact", domains=["sink.example", "a.sink.example"])])
        with session(hub.address) as talk:
            recipients = ["1@sink.example", "2@a.sink.example", "3@b.sink.example", "4@other.example", "5@SINK.Example"]
            self.assertEqual(talk.send_mail(recipients=recipients)[0], 250)
        hub.wait_empty(15)
        self.assertEqual(sorted(a for m in exact.messages for a in m.addresses), ["1@sink.example", "2@a.sink.example", "5@SINK.Example"])
        self.assertEqual([a for m in below.messages for a in m.addresses], ["3@b.sink.example"])
        self.assertEqual([a for m in rest.messages for a in m.addresses], ["4@other.example"])
