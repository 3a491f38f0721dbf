"""`umbra trace`: where a message is and was, asked of any hub of the cluster."""
import json
import re

from lab.case import LabCase
from lab.process import wait_until
from lab.talk import session


class TraceCase(LabCase):
    def send(self, hub, sender="a@source.example", recipients=("b@sink.example",), data="Message-ID: <m1@source.example>\r\nSubject: x\r\n\r\nbody\r\n"):
        with session(hub.address) as talk:
            code, text = talk.send_mail(sender=sender, recipients=recipients, data=data)
            self.assertEqual(code, 250, text)
        return re.search(r"queued as (\S+?),? ", text + " ").group(1)

    def trace(self, hub, *words, code=0):
        done = hub.umbra("trace", *words, "--output", "json", check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def verdict(self, hub, name):
        return self.trace(hub, name)["messages"][0]["verdict"]

    def deferring(self):
        away = self.capture()
        away.rcpt_reply = lambda address: "451 4.2.0 not now"
        return away

    def events(self, story):
        return [(record["hub"], record["event"]) for record in story["records"]]


class OfWhatWaits(TraceCase):
    def test_any_hub_says_where_it_is_queued_and_where_its_copies_are(self):
        away = self.deferring()
        hubs = self.cluster(3, away.address, shadow="require", delivery={"retry": [{"wait": "1h"}]})
        first, _, third = hubs.hubs
        name = self.send(first)
        wait_until(lambda: self.verdict(third, name)["text"].find("tried 1 time") > 0, 20, lambda: f"an attempt: {self.trace(third, name)}")
        answer = self.trace(third, name)
        self.assertEqual([(hub["hub"], hub["answered"]) for hub in sorted(answer["hubs"], key=lambda hub: hub["hub"])],
                         [("hub-1", True), ("hub-2", True), ("hub-3", True)])
        story = answer["messages"][0]
        self.assertEqual((story["verdict"]["state"], story["verdict"]["at"]), ("queued", "hub-1"))
        holder = [hub.name for hub in hubs.hubs if hub.counts()["shadows"] == 1]
        self.assertEqual(story["verdict"]["copies"], holder)
        self.assertIn("451 4.2.0 not now", story["verdict"]["text"])
        self.assertEqual((story["sender"], story["recipients"]), ("a@source.example", ["b@sink.example"]))
        owner = next(fact for fact in story["spool"] if fact["role"] == "owner")
        self.assertEqual((owner["hub"], owner["recipients"][0]["state"], owner["history"][0]["how"]), ("hub-1", "pending", "accepted"))
        text = third.umbra("trace", name).stdout
        self.assertIn("=> queued at hub-1", text)
        self.assertIn("holds a copy for hub-1", text)

    def test_it_is_found_by_sender_recipient_and_time(self):
        away = self.deferring()
        hubs = self.cluster(3, away.address, shadow="require", delivery={"retry": [{"wait": "1h"}]})
        first, second, third = hubs.hubs
        mine = self.send(first, sender="one@source.example")
        other = self.send(second, sender="two@source.example", recipients=["x@else.example", "c@sink.example"])
        def found(*words, code=0):
            return sorted(story["id"] for story in self.trace(third, *words, code=code)["messages"])
        self.assertEqual(found("--sender", "ONE@source.example"), [mine])
        self.assertEqual(found("--recipient", "@else.example"), [other])
        self.assertEqual(found("--sender", "@source.example"), sorted([mine, other]))
        self.assertEqual(found("--since", "10min"), sorted([mine, other]))
        self.assertEqual(found("--until", "1h", code=4), [])
        self.assertEqual(found("--sender", "nobody@source.example", code=4), [])
        self.assertEqual(len(found("--sender", "@source.example", "--limit", "1")), 1)

    def test_a_hub_that_is_down_is_named(self):
        away = self.deferring()
        hubs = self.cluster(3, away.address, shadow="require", lease="10s", delivery={"retry": [{"wait": "1h"}]})
        first, _, third = hubs.hubs
        name = self.send(first)
        holder = next(hub for hub in hubs.hubs if hub.counts()["shadows"] == 1)
        asked = next(hub for hub in hubs.hubs if hub not in (first, holder))
        first.kill()
        answer = self.trace(asked, name)
        self.assertEqual([hub["hub"] for hub in answer["hubs"] if not hub["answered"]], ["hub-1"])
        verdict = answer["messages"][0]["verdict"]
        self.assertEqual((verdict["state"], verdict["copies"]), ("copies_only", [holder.name]))
        text = asked.umbra("trace", name).stdout
        self.assertIn("hub-1 did not answer: ", text)
        self.assertIn("queued at hub-1, as far as is known: it did not answer", text)
        # And then it is taken over.
        wait_until(lambda: self.verdict(asked, name)["at"] == holder.name, 40, lambda: f"taken over by {holder.name}: {self.trace(asked, name)}")
        history = next(fact for fact in self.trace(asked, name)["messages"][0]["spool"] if fact["role"] == "owner")["history"]
        self.assertEqual([(owner["hub"], owner["how"]) for owner in history], [("hub-1", "accepted"), (holder.name, "taken_over")])

    def test_what_nobody_knows_is_unknown(self):
        hubs = self.cluster(2, self.capture().address, shadow="require")
        answer = self.trace(hubs.hubs[1], "00000000000000aa-1", code=4)
        self.assertEqual(answer["messages"][0]["verdict"]["state"], "unknown")
        self.assertEqual(hubs.hubs[0].umbra("trace", "nonsense", check=False).returncode, 2)
        self.assertEqual(hubs.hubs[0].umbra("trace", check=False).returncode, 2)

    def test_a_hub_alone_answers_for_itself(self):
        hub = self.hub(self.deferring().address, delivery={"retry": [{"wait": "1h"}]})
        name = self.send(hub)
        self.assertEqual(self.verdict(hub, name)["at"], "hub-1")

    def test_what_is_in_the_safety_net_is_known_to_be_delivered(self):
        capture = self.capture()
        hub = self.hub(capture.address, safety_net={"keep": "1h", "size": "10MB"})
        name = self.send(hub)
        capture.wait_for(1)
        wait_until(lambda: any(fact["role"] == "kept" for fact in self.trace(hub, name)["messages"][0]["spool"]), 20, "it is kept")
        self.assertEqual(self.verdict(hub, name)["state"], "delivered")


class OfWhatIsOver(TraceCase):
    """From the tracking log alone: the spools have nothing of it any more."""

    def test_the_story_of_a_message_that_was_taken_over_is_told_by_the_hubs_that_are_left(self):
        away = self.deferring()
        hubs = self.cluster(3, away.address, shadow="require", delivery={"retry": [{"wait": "2s"}]})
        first = hubs.hubs[0]
        name = self.send(first)
        holder = next(hub for hub in hubs.hubs if hub.counts()["shadows"] == 1)
        asked = next(hub for hub in hubs.hubs if hub not in (first, holder))
        wait_until(lambda: ("hub-1", "DEFER") in self.events(self.trace(asked, name)["messages"][0]), 20, "hub-1 has written what it knows")
        first.kill()
        away.rcpt_reply = lambda address: None
        away.wait_for(1, 40)
        wait_until(lambda: self.verdict(asked, name)["state"] == "delivered", 20, lambda: f"delivered: {self.trace(asked, name)}")
        answer = self.trace(asked, name)
        story = answer["messages"][0]
        self.assertEqual(story["verdict"]["at"], holder.name)
        self.assertEqual([hub["hub"] for hub in answer["hubs"] if not hub["answered"]], ["hub-1"])
        events = self.events(story)
        self.assertIn((holder.name, "HARECEIVE"), events)
        self.assertIn((holder.name, "SEND"), events)
        # Back, the first hub tells its part of it.
        first.start()
        wait_until(lambda: all(hub["answered"] for hub in self.trace(asked, name)["hubs"]), 30, "all answer")
        story = self.trace(asked, name)["messages"][0]
        events = self.events(story)
        self.assertIn(("hub-1", "RECEIVE"), events)  # when the 250 was sent, which is after the copy
        self.assertIn(("hub-1", "HAREDIRECT"), events)
        self.assertIn(("hub-1", "DEFER"), events)
        times = [record["time"] for record in story["records"]]
        self.assertEqual(times, sorted(times))
        text = asked.umbra("trace", name).stdout
        self.assertIn("hub-1  accepted from", text)
        self.assertIn(f"=> delivered by {holder.name} to", text)

    def test_it_is_found_by_its_message_id_and_when_it_bounced(self):
        away = self.capture()
        away.rcpt_reply = lambda address: "550 5.1.1 no such user" if address.startswith("b@") else None
        hubs = self.cluster(2, away.address, shadow="require")
        first, second = hubs.hubs
        name = self.send(first)
        wait_until(lambda: self.verdict(second, name)["state"] == "bounced", 20, lambda: f"bounced: {self.trace(second, name)}")
        found = self.trace(second, "--message-id", "m1@source.example")["messages"]
        self.assertEqual([story["id"] for story in found], [name])
        self.assertEqual(found[0]["message_id"], "<m1@source.example>")
        found = self.trace(second, "--sender", "a@source.example", "--since", "1h")["messages"]
        self.assertIn(name, [story["id"] for story in found])
