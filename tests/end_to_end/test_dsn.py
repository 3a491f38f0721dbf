"""Delivery status notifications (RFC 3461, 3464): who gets one, who does not, and what it says."""
import email
import email.policy
import time

from lab.case import LabCase
from lab.hub import route_to
from lab.talk import session


class Notifications(LabCase):
    def setUp(self):
        super().setUp()
        self.home = self.capture()  # the sender's side: where notifications go
        self.away = self.capture()
        self.relay = self.hub(start=False, routes=[route_to(self.home.address, name="home", domains=["source.example"]),
                                                   route_to(self.away.address, name="away")])

    def send(self, *recipients, sender="a@source.example", mail="", rcpt="", data="Subject: original\r\nX-Mark: 42\r\n\r\nthe body\r\n"):
        with session(self.relay.address) as talk:
            code, text = talk.send_mail(sender=sender, recipients=recipients, mail=mail, rcpt=rcpt, data=data)
            self.assertEqual(code, 250, text)
        return text

    def refuse(self, *recipients, reply="550 5.1.1 no such user here"):
        self.away.rcpt_reply = lambda address: reply if address in recipients else None

    def notification(self, count=1):
        message = self.home.wait_for(count)[-1]
        self.assertEqual(message.sender, "", "a notification has the null sender")
        return message, email.message_from_bytes(message.octets, policy=email.policy.default)

    def fields(self, notification):
        """(per message, [per recipient]) of the message/delivery-status part."""
        for part in notification.walk():
            if part.get_content_type() == "message/delivery-status":
                blocks = part.get_payload()
                return blocks[0], blocks[1:]
        self.fail("no message/delivery-status part")

    def assert_no_notification(self):
        self.relay.wait_empty(15)
        time.sleep(0.3)
        self.assertEqual(self.home.messages, [])

    def test_a_refused_recipient_is_reported_to_the_sender(self):
        self.relay.start()
        self.refuse("bad@sink.example")
        self.send("good@sink.example", "bad@sink.example", mail="ENVID=id+2B1 RET=HDRS", rcpt="ORCPT=rfc822;first@origin.example")
        message, report = self.notification()
        self.assertEqual(message.addresses, ["a@source.example"])
        self.assertEqual(report.get_content_type(), "multipart/report")
        self.assertEqual(report.get_param("report-type"), "delivery-status")
        self.assertEqual(report["To"].strip("<>"), "a@source.example")
        self.assertTrue(report["Date"] and report["Message-ID"] and report["Subject"] and report["From"])
        self.assertEqual(report["Auto-Submitted"], "auto-replied")
        parts = list(report.iter_parts())
        self.assertEqual(parts[0].get_content_type(), "text/plain")
        self.assertIn("bad@sink.example", parts[0].get_content())
        per_message, per_recipient = self.fields(report)
        self.assertEqual(per_message["Reporting-MTA"].replace(" ", ""), "dns;hub-1.example")
        self.assertEqual(per_message["Original-Envelope-Id"], "id+1")
        self.assertEqual(len(per_recipient), 1, "the good recipient is no failure")
        status = per_recipient[0]
        self.assertEqual(status["Final-Recipient"].replace(" ", ""), "rfc822;bad@sink.example")
        self.assertEqual(status["Original-Recipient"].replace(" ", ""), "rfc822;first@origin.example")
        self.assertEqual(status["Action"], "failed")
        self.assertEqual(status["Status"], "5.1.1")
        self.assertIn("550 5.1.1 no such user here", status["Diagnostic-Code"])
        # RET=HDRS: the header comes back, the body does not.
        self.assertIn(b"X-Mark: 42", message.octets)
        self.assertNotIn(b"the body", message.octets)
        self.assertEqual(self.away.wait_for(1)[0].addresses, ["good@sink.example"])
        self.relay.wait_empty(10)

    def test_ret_full_brings_the_whole_message_back(self):
        self.relay.start()
        self.refuse("bad@sink.example")
        self.send("bad@sink.example", mail="RET=FULL")
        message, report = self.notification()
        self.assertIn(b"the body", message.octets)
        self.assertIn("message/rfc822", [part.get_content_type() for part in report.walk()])

    def test_a_message_refused_at_its_end_is_reported_for_every_recipient(self):
        self.relay.start()
        self.away.data_reply = lambda message: "554 5.6.0 not with that content"
        self.send("b@sink.example", "c@sink.example")
        _, report = self.notification()
        _, per_recipient = self.fields(report)
        self.assertEqual(sorted(p["Final-Recipient"].split(";")[1].strip() for p in per_recipient), ["b@sink.example", "c@sink.example"])
        self.assertEqual({p["Status"] for p in per_recipient}, {"5.6.0"})

    def test_notify_never_is_respected(self):
        self.relay.start()
        self.refuse("bad@sink.example")
        self.send("bad@sink.example", rcpt="NOTIFY=NEVER")
        self.assert_no_notification()

    def test_notify_without_failure_is_respected(self):
        self.relay.start()
        self.refuse("bad@sink.example")
        self.send("bad@sink.example", rcpt="NOTIFY=SUCCESS")
        self.assert_no_notification()

    def test_mail_from_the_null_sender_never_bounces(self):
        self.relay.start()
        self.refuse("bad@sink.example")
        self.send("bad@sink.example", sender="")
        self.assert_no_notification()

    def test_a_notification_that_cannot_be_delivered_ends_there(self):
        self.relay.start()
        self.refuse("bad@sink.example")
        self.home.rcpt_reply = lambda address: "550 5.1.1 nobody at home"
        self.send("bad@sink.example")
        self.assert_no_notification()

    def test_notify_success_is_passed_on_to_a_next_hop_with_dsn(self):
        self.relay.start()
        self.send("b@sink.example", mail="RET=HDRS ENVID=abc", rcpt="NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b@sink.example")
        message = self.away.wait_for(1)[0]
        parameters = message.recipients[0][1].upper().split()
        self.assertEqual(sorted(next(p for p in parameters if p.startswith("NOTIFY="))[7:].split(",")), ["DELAY", "SUCCESS"])
        self.assertIn("ORCPT=RFC822;B@SINK.EXAMPLE", parameters)
        self.assertIn("RET=HDRS", message.sender_parameters.upper().split())
        self.assertIn("ENVID=abc", message.sender_parameters.split())
        self.assert_no_notification()

    def test_notify_success_is_answered_where_the_next_hop_has_no_dsn(self):
        self.away.extensions = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES")
        self.relay.start()
        self.send("b@sink.example", rcpt="NOTIFY=SUCCESS")
        self.assertNotIn("NOTIFY", self.away.wait_for(1)[0].recipients[0][1])
        _, report = self.notification()
        _, per_recipient = self.fields(report)
        self.assertEqual(per_recipient[0]["Action"], "relayed")
        self.assertTrue(per_recipient[0]["Status"].startswith("2."))
        self.relay.wait_empty(10)

    def test_mail_that_expires_is_returned(self):
        self.relay._settings["delivery"] = {"expiry": "1min", "delay_warning": "1s", "retry": [{"wait": "1s"}]}
        self.relay.start()
        self.refuse("slow@sink.example", reply="451 4.2.1 not today")
        self.send("slow@sink.example")
        _, delayed = self.notification(1)
        _, per_recipient = self.fields(delayed)
        self.assertEqual(per_recipient[0]["Action"], "delayed")
        self.assertTrue(per_recipient[0]["Status"].startswith("4."))
        self.home.wait_for(2, 75)
        _, failed = self.notification(2)
        _, per_recipient = self.fields(failed)
        self.assertEqual(per_recipient[0]["Action"], "failed")
        # RFC 3463 section 2: class 4 is for a temporary condition whose persistence led to abandonment.
        self.assertEqual(per_recipient[0]["Status"], "4.4.7")
        self.relay.wait_empty(10)

    def test_a_route_has_its_own_retries_and_its_own_reports(self):
        self.relay._settings["routes"][1]["bounce_profile"] = "twice"
        self.relay._settings["bounce_profiles"] = [{"name": "twice", "retry": [{"wait": "1s"}], "retries": 2, "report_format": "plain", "returned": "nothing",
                                                    "report_to": "operators@source.example"}]
        self.relay.start()
        self.refuse("slow@sink.example", reply="451 4.2.1 not today")
        self.send("slow@sink.example", "good@sink.example")
        message, report = self.notification()
        self.assertEqual(message.addresses, ["operators@source.example"])
        self.assertEqual(report.get_content_type(), "text/plain")
        self.assertIn("<slow@sink.example>: host 127.0.0.1 said: 451 4.2.1 not today", report.get_content().replace("\r\n", "\n"))
        self.assertNotIn(b"X-Mark", message.octets)
        self.assertEqual(len([e for e in self.relay.events("deferred")]), 2, "then it bounces")
        self.assertEqual(self.away.wait_for(1)[0].addresses, ["good@sink.example"])
        self.relay.wait_empty(10)

    def test_eight_bit_mail_is_returned_by_a_next_hop_without_8bitmime(self):
        self.away.extensions = ("PIPELINING", "ENHANCEDSTATUSCODES", "DSN")
        self.relay.start()
        self.send("b@sink.example", mail="BODY=8BITMIME", data="Subject: x\r\n\r\nGrüße\r\n")
        _, report = self.notification()
        _, per_recipient = self.fields(report)
        self.assertEqual(per_recipient[0]["Status"], "5.6.3")
        self.assertEqual(self.away.messages, [])

    def test_eight_bit_mail_is_converted_where_the_route_says_so(self):
        self.away.extensions = ("PIPELINING", "ENHANCEDSTATUSCODES", "DSN")
        self.relay._settings["routes"][1]["eight_bit"] = "convert"
        self.relay.start()
        self.send("b@sink.example", mail="BODY=8BITMIME", data="Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                  "Content-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n")
        octets = self.away.wait_for(1)[0].octets
        self.assertTrue(all(octet < 128 for octet in octets))
        self.assertEqual(email.message_from_bytes(octets, policy=email.policy.default).get_content().strip(), "Grüße")
