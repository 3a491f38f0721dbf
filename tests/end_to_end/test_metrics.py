"""Metrics of real hubs: promtool reads them, the ledger balances whatever happens to mail, and nothing in them grows with it."""
import re
import subprocess
import threading
import unittest

from lab.case import LabCase
from lab.process import wait_until
from lab.talk import session

LATER = {"retry": [{"wait": "1h"}]}


def page(hub):
    status, text = hub.http("/metrics")
    if status != 200:
        raise AssertionError(f"{hub.name} gives no metrics: {status}")
    return text


def series(text):
    """{name with labels: value}"""
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line and not line.startswith("#")}


def words(text, metric):
    """{value of its one label: value}, without zeros."""
    found = re.findall(rf'^{metric}\{{\w+="(\w+)"\}} (\S+)$', text, re.M)
    return {word: int(float(value)) for word, value in found if float(value)}


class MetricsCase(LabCase):
    def send(self, hub, count=1, recipients=("b@sink.example",)):
        with session(hub.address) as talk:
            for _ in range(count):
                code, text = talk.send_mail(recipients=recipients)
                self.assertEqual(code, 250, text)

    def balance(self, hub):
        """(at start, entered, left, queued): and they balance, by the hub's word and by the sum."""
        text = page(hub)
        values = series(text)
        start, queued = int(values["umbra_ledger_at_start_messages"]), int(values["umbra_queue_messages"])
        entered, left = words(text, "umbra_ledger_entered_messages_total"), words(text, "umbra_ledger_left_messages_total")
        self.assertEqual(values["umbra_ledger_imbalance_messages"], 0, text)
        return start, entered, left, queued

    def assert_balance(self, hub, start, entered, left, queued):
        self.assertEqual(self.balance(hub), (start, entered, left, queued))
        self.assertEqual(start + sum(entered.values()) - sum(left.values()), queued)


class Page(MetricsCase):
    def promtool(self, text):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_promtool_finds_nothing_and_every_closed_series_is_there_from_the_start(self):
        capture = self.capture()
        hubs = self.cluster(2, capture.address)
        hub = hubs.hubs[0]
        before = page(hub)
        self.promtool(before)
        for how in ("accepted", "received", "taken_over", "notification", "resent", "filtered"):
            self.assertIn(f'umbra_ledger_entered_messages_total{{how="{how}"}} 0', before)
        self.assertIn('umbra_smtp_rejections_total{stage="rcpt",reason="relay_denied"} 0', before)
        self.assertIn('umbra_smtp_commands_total{verb="mail",class="2xx"} 0', before)
        self.assertIn('umbra_delivery_latency_seconds_bucket{stage="total",le="+Inf"} 0', before)
        self.assertIn('umbra_shadow_peer_up{hub="hub-2"} 1', before)
        self.assertRegex(before, r'umbra_build_info\{version="[^"]+",commit="[^"]+",sqlite="3[^"]+",boost="1[^"]+",openssl="3[^"]+"\} 1')
        self.assertEqual(len(set(re.findall(r'hash_info\{hash="([^"]+)"', before + page(hubs.hubs[1])))), 1)
        with session(hub.address) as talk:
            self.assertEqual(talk.say("NONSENSE")[0], 500)
            self.assertEqual(talk.say("MAIL FROM:<a@b.example>")[0], 250)
            self.assertEqual(talk.say("RCPT TO:<b@sink.example>")[0], 250)
            self.assertEqual(talk.say("DATA")[0], 354)
            talk.send(b"Subject: x\r\n\r\nbare\nline\r\n.\r\n")
            self.assertEqual(talk.reply()[0], 554)
        self.send(hub, 3)
        hubs.wait_empty(20)
        after = page(hub)
        self.promtool(after)
        values = series(after)
        self.assertEqual(values['umbra_smtp_commands_total{verb="other",class="5xx"}'], 1)
        self.assertEqual(values['umbra_smtp_commands_total{verb="data",class="3xx"}'], 4)
        self.assertEqual(values['umbra_smtp_commands_total{verb="message_end",class="2xx"}'], 3)
        self.assertEqual(values['umbra_smtp_rejections_total{stage="message",reason="bare_line_end"}'], 1)
        for stage in ("queue", "transmit", "total"):
            self.assertEqual(values[f'umbra_delivery_latency_seconds_count{{stage="{stage}"}}'], 3)
        self.assertGreaterEqual(values['umbra_delivery_latency_seconds_count{stage="connect"}'], 1)
        self.assertGreater(values["umbra_spool_commit_seconds_count"], 0)
        self.assertEqual(set(series(before)), set(values), "series came or went")
        # Whatever the reference names and a hub like this one has, is there.
        hubs.hubs[1].kill()
        wait_until(lambda: 'umbra_shadow_peer_up{hub="hub-2"} 0' in page(hub), 20, "the other hub's silence in the metrics")

    def test_a_hundred_thousand_domains_are_no_series(self):
        sink = self.sink(ledger=False)
        hub = self.hub(sink.address, limits={"recipients": 1000})
        before = set(series(page(hub)))
        with session(hub.address) as talk:
            for message in range(100):
                lines = [f"MAIL FROM:<a@s{message}.example>"] + [f"RCPT TO:<b@d{message * 1000 + i}.example>" for i in range(1000)]
                talk.send("\r\n".join(lines) + "\r\n")
                for line in lines:
                    self.assertEqual(talk.reply()[0], 250, line)
                self.assertEqual(talk.say("DATA")[0], 354)
                talk.send("Subject: many\r\n\r\nx\r\n.\r\n")
                self.assertEqual(talk.reply()[0], 250)
        wait_until(lambda: hub.metric("umbra_recipients_delivered_total") == 100_000, 120, lambda: f"deliveries: {hub.metric('umbra_recipients_delivered_total')}")
        after = set(series(page(hub)))
        self.assertEqual(before, after)
        self.assertLess(len(after), 750)
        self.assertEqual(self.balance(hub)[1:3], ({"accepted": 100}, {"delivered": 100}))


class Ledger(MetricsCase):
    def test_of_one_hub_over_bounces_holds_and_restarts(self):
        capture = self.capture()
        capture.rcpt_reply = lambda address: "550 5.1.1 no such user" if address.startswith("nobody") else "451 4.2.0 later" if address.startswith("later") else None
        hub = self.hub(capture.address, delivery=LATER)
        self.assert_balance(hub, 0, {}, {}, 0)
        self.send(hub, 2)  # delivered
        self.send(hub, 1, ("nobody@sink.example", "b@sink.example"))  # delivered to one; a notification
        self.send(hub, 1, ("nobody@sink.example",))  # bounced; a notification
        self.send(hub, 2, ("later@sink.example",))
        capture.wait_for(5, 20)
        wait_until(lambda: self.balance(hub)[3] == 2, 20, lambda: f"two messages: {self.balance(hub)}")
        self.assert_balance(hub, 0, {"accepted": 6, "notification": 2}, {"delivered": 5, "bounced": 1}, 2)
        first, second = [message["id"] for message in hub.queue()]
        hub.umbra("queue", "hold", first)
        self.assertEqual(words(page(hub), "umbra_queue_state_messages"), {"queued": 1, "held": 1})
        hub.stop()
        hub.start()
        self.assert_balance(hub, 2, {}, {}, 2)
        hub.umbra("queue", "bounce", second)
        wait_until(lambda: self.balance(hub)[3] == 1, 20, "the bounce and its notification")
        self.assert_balance(hub, 2, {"notification": 1}, {"bounced": 1, "delivered": 1}, 1)
        hub.kill()
        hub.start()
        self.assert_balance(hub, 1, {}, {}, 1)
        capture.rcpt_reply = lambda address: None
        hub.umbra("queue", "release", first)
        wait_until(lambda: self.balance(hub)[3] == 0, 20, "the last message")
        self.assert_balance(hub, 1, {}, {"delivered": 1}, 0)

    def test_of_a_cluster_over_a_take_over_and_a_hand_over(self):
        capture = self.capture()
        capture.rcpt_reply = lambda address: "451 4.2.0 later"
        hubs = self.cluster(3, capture.address, delivery=LATER)
        one, two, three = hubs.hubs
        self.send(one, 5)
        self.send(two, 4)
        wait_until(lambda: sum(hub.metric("umbra_unprotected_messages") for hub in hubs.hubs) == 0, 20, "copies")
        one.kill()
        taken = lambda: sum(self.balance(hub)[1].get("taken_over", 0) for hub in (two, three))
        wait_until(lambda: taken() == 5, 30, lambda: f"taken over: {taken()}")
        one.start()
        wait_until(lambda: self.balance(one)[3] == 0, 30, lambda: f"ceded: {self.balance(one)}")
        self.assert_balance(one, 5, {}, {"ceded": 5}, 0)
        wait_until(lambda: all(peer["takes_copies"] for peer in two.status()["peers"]), 20, "sessions")
        owned = self.balance(two)[3]
        left = two.umbra("leave", "--unready-wait", "0s", check=False)
        self.assertEqual(left.returncode, 0, left.stdout + left.stderr)
        self.assertEqual(self.balance(two)[2].get("handed_over"), owned)
        self.assertEqual(self.balance(two)[3], 0)
        self.assertIn('umbra_drain_results_total{result="left"} 1', page(two))
        others = [self.balance(hub) for hub in (one, three)]
        self.assertEqual(sum(entered.get("received", 0) for _, entered, _, _ in others), owned)
        self.assertEqual(sum(queued for *_, queued in others), 9)
        # One trace over all hubs: the message's id, in every line about it.
        self.assertEqual({event["trace_id"] for hub in hubs.hubs for event in hub.events() if event.get("event")},
                         {"".join(part.zfill(16) for part in event["id"].split("-")) for hub in hubs.hubs for event in hub.events() if event.get("event")})
        spans = {(event["hub"], event["id"]): event["span_id"] for hub in hubs.hubs for event in hub.events() if event.get("event")}
        self.assertEqual(len(set(spans.values())), len(spans))

    def test_is_in_balance_while_mail_flows(self):
        sink = self.sink()
        hubs = self.cluster(2, sink.address)
        hub = hubs.hubs[0]
        over = threading.Event()

        def flow():
            while not over.is_set():
                self.send(hub, 50)

        senders = [threading.Thread(target=flow) for _ in range(4)]
        for sender in senders:
            sender.start()
        try:
            wait_until(lambda: hub.metric("umbra_messages_accepted_total") > 100, 30, "mail")
            for _ in range(50):
                self.balance(hub)
        finally:
            over.set()
            for sender in senders:
                sender.join()
        hubs.wait_empty(30)
        start, entered, left, queued = self.balance(hub)
        self.assertEqual((start, queued, entered), (0, 0, {"accepted": int(hub.metric("umbra_messages_accepted_total"))}))
        self.assertEqual(left, {"delivered": entered["accepted"]})


if __name__ == "__main__":
    unittest.main()
