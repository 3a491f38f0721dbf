"""What a shadow knows: held by the operator, warned of a delay, tried before, owned before. It goes on with whoever takes over."""
import json
import time

from lab.case import LabCase
from lab.hub import route_to
from lab.process import wait_until
from lab.talk import session


class KnowledgeCase(LabCase):
    def send(self, hub, recipient="b@sink.example", sender="a@source.example"):
        with session(hub.address) as talk:
            code, text = talk.send_mail(sender=sender, recipients=[recipient], data="Subject: x\r\n\r\nbody\r\n")
            self.assertEqual(code, 250, text)

    def lose(self, hub):
        hub.kill()
        hub.throw_disk_away()

    def one(self, hub):
        """The only message of that hub, once it is there."""
        wait_until(lambda: len(hub.queue()) == 1, 30, lambda: f"a message on {hub.name}: {hub.queue()}")
        return hub.queue()[0]

    def show(self, hub, message):
        return json.loads(hub.umbra("queue", "show", message["id"], "--output", "json").stdout)


class OfAHeldMessage(KnowledgeCase):
    def test_a_held_message_stays_held_when_its_hub_is_lost_and_goes_on_when_it_is_released(self):
        away = self.capture()
        away.rcpt_reply = lambda address: "451 4.2.0 not now"
        hubs = self.cluster(2, away.address, shadow="require", delivery={"retry": [{"wait": "1s"}]})
        first, second = hubs.hubs
        self.send(first)
        message = self.one(first)
        wait_until(lambda: self.show(first, message)["attempts"] >= 2, 30, "two attempts")
        # Held between two attempts: nothing is under way then.
        wait_until(lambda: first.umbra("queue", "hold", message["id"]).stdout.strip().endswith("hold done")
                   or (first.umbra("queue", "release", message["id"]) and False), 30, "it is held, and hub-2 knows")
        shadow = self.show(second, message)
        self.assertTrue(shadow["held"], shadow)
        self.assertIn("451 4.2.0 not now", shadow["last_error"])
        self.lose(first)
        away.rcpt_reply = lambda address: None
        taken = self.one(second)
        self.assertEqual((taken["id"], taken["state"]), (message["id"], "held"))
        time.sleep(3)
        self.assertEqual(away.messages, [], "nobody delivers it")
        shown = self.show(second, message)
        self.assertEqual([(o["generation"], o["hub"], o["how"]) for o in shown["history"]],
                         [(1, "hub-1", "accepted"), (2, "hub-2", "taken_over")])
        self.assertGreaterEqual(shown["history"][0]["attempts"], 2)
        self.assertIn("451 4.2.0 not now", shown["last_error"])
        self.assertIn("taken_over", second.umbra("queue", "show", message["id"]).stdout)
        event = second.events("taken_over")[0]
        self.assertEqual(event["state"], "held")
        self.assertIn("1 accepted by hub-1", event["history"])
        self.assertIn("2 taken_over by hub-2", event["history"])
        answer = second.umbra("queue", "release", message["id"]).stdout
        self.assertIn("release done", answer)
        self.assertEqual(away.wait_for(1)[0].addresses, ["b@sink.example"])
        wait_until(lambda: second.empty(ignored=["outbox"]), 30, "nothing left but what the lost disk is owed")
        self.assertEqual(len(away.messages), 1)

    def test_the_operator_hears_when_a_holder_cannot_be_told(self):
        away = self.capture()
        away.rcpt_reply = lambda address: "451 4.2.0 not now"
        hubs = self.cluster(2, away.address, shadow="require", lease="10s", delivery={"retry": [{"wait": "1h"}]})
        first, second = hubs.hubs
        self.send(first)
        message = self.one(first)
        wait_until(lambda: self.show(first, message)["attempts"] == 1, 30, "the first attempt")
        second.kill()
        said = first.umbra("queue", "hold", message["id"]).stdout
        self.assertIn("hold done", said)
        self.assertIn("hub-2", said)
        second.start()
        wait_until(lambda: self.show(second, message).get("held"), 30, "it is told as soon as it is back")


class OfADelayedMessage(KnowledgeCase):
    def test_the_sender_is_warned_once_though_another_hub_takes_over(self):
        home, away = self.capture(), self.capture()
        away.rcpt_reply = lambda address: "451 4.2.0 not now"
        routes = [route_to(home.address, name="home", domains=["source.example"]), route_to(away.address, name="away")]
        hubs = self.cluster(2, routes=routes, shadow="require", delivery={"delay_warning": "1s", "retry": [{"wait": "2s"}]})
        first, second = hubs.hubs
        self.send(first)
        message = self.one(first)
        self.assertIn(b"delayed", home.wait_for(1, 40)[0].octets)
        expiry = self.show(first, message)["expires_at"]
        wait_until(lambda: self.show(second, message)["next_alarm"] == expiry, 10, "hub-2 knows of the warning")
        # Were the first hub to die before it could say that the warning is delivered, the other would send it again (RFC 1047).
        wait_until(lambda: second.counts()["shadows"] == 1, 10, "the warning itself is done")
        self.lose(first)
        self.one(second)
        self.assertEqual(self.show(second, message)["next_alarm"], expiry)
        time.sleep(18)  # alarms are looked at every 15 s
        self.assertEqual(len(home.messages), 1, "one warning")
        away.rcpt_reply = lambda address: None
        self.assertEqual(away.wait_for(1)[0].addresses, ["b@sink.example"])
        wait_until(lambda: second.empty(ignored=["outbox"]), 30, "nothing left but what the lost disk is owed")
