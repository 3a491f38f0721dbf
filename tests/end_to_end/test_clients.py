"""Programs that others wrote relay through a hub, unmodified, in both directions."""
import email
import email.policy
import shutil
import smtplib
import subprocess
import unittest
from email.message import EmailMessage

from lab import load
from lab.case import LabCase


class Clients(LabCase):
    def test_swaks_relays_through_a_hub(self):
        if not shutil.which("swaks"):
            self.skipTest("swaks is not installed")
        capture = self.capture()
        hub = self.hub(capture.address)
        done = subprocess.run(["swaks", "--server", hub.address, "--from", "a@source.example", "--to", "b@sink.example,c@sink.example",
                               "--h-Subject", "by swaks", "--body", "hello\n.leading dot\nend"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        message = capture.wait_for(1)[0]
        self.assertEqual(sorted(message.addresses), ["b@sink.example", "c@sink.example"])
        self.assertEqual(message.sender, "a@source.example")
        self.assertIn(b"\r\n.leading dot\r\n", message.octets)
        self.assertRegex(message.octets, rb"^Umbra-Hop: [^\r]+(\r\n\t[^\r]+)*\r\nReceived: from ")
        self.assertIn(b"Subject: by swaks\r\n", message.octets)

    def test_smtp_source_relays_through_a_hub(self):
        if not shutil.which("smtp-source"):
            self.skipTest("smtp-source is not installed")
        sink = self.sink()
        hub = self.hub(sink.address)
        # -d: one connection for many messages; and once more with a connection for each.
        for kept in (["-d"], []):
            subprocess.run(["smtp-source", *kept, "-s", "10", "-m", "500", "-l", "3000", "-f", "a@source.example", "-t", "b@sink.example",
                            hub.address], check=True, timeout=120, capture_output=True)
        sink.wait_for(1000, 60)
        counts = sink.counts()
        self.assertEqual(counts["messages"], 1000)
        self.assertEqual(counts["bare_line_ends"], 0)
        hub.wait_empty(10)

    def test_smtplib_relays_through_a_hub_octet_for_octet(self):
        capture = self.capture()
        hub = self.hub(capture.address)
        text = "Grüße, ünïcödé\n" + "\n".join(f".{'x' * (i % 70)}" for i in range(200)) + "\n"
        message = EmailMessage(policy=email.policy.SMTP)
        message["Subject"] = "by smtplib"
        message["From"] = "a@source.example"
        message["To"] = "b@sink.example"
        message.set_content(text, cte="8bit")
        sent = message.as_bytes()
        with smtplib.SMTP("127.0.0.1", hub.port, timeout=30) as client:
            client.sendmail("a@source.example", ["b@sink.example"], sent, mail_options=["BODY=8BITMIME"])
        got = capture.wait_for(1)[0]
        self.assertTrue(got.octets.endswith(sent), "the message was changed on its way")
        trace = got.octets[:len(got.octets) - len(sent)]
        self.assertRegex(trace.decode(), r"^Umbra-Hop: [^\r]+(\r\n\t[^\r]+)*\r\nReceived: from [^\r]+(\r\n[ \t][^\r]+)*\r\n$")
        self.assertIn("BODY=8BITMIME", got.sender_parameters)

    def test_smtplib_sends_a_message_of_many_megabytes(self):
        sink = self.capture()
        hub = self.hub(sink.address)
        line = b"0123456789abcdef" * 4 + b"\r\n"
        sent = b"Subject: big\r\n\r\n" + line * (20 * 1024 * 1024 // len(line))
        with smtplib.SMTP("127.0.0.1", hub.port, timeout=120) as client:
            client.sendmail("a@source.example", ["b@sink.example"], sent)
        got = sink.wait_for(1, 120)[0]
        self.assertTrue(got.octets.endswith(sent))

    def test_smtplib_is_told_of_each_refused_recipient(self):
        capture = self.capture()
        hub = self.hub(capture.address, limits={"recipients": 3})
        with smtplib.SMTP("127.0.0.1", hub.port, timeout=30) as client:
            refused = client.sendmail("a@source.example", [f"u{i}@sink.example" for i in range(5)], b"Subject: x\r\n\r\nx\r\n")
        self.assertEqual(sorted(refused), ["u3@sink.example", "u4@sink.example"])
        self.assertEqual({code for code, _ in refused.values()}, {452})
        self.assertEqual(len(capture.wait_for(1)[0].recipients), 3)

    def test_umbra_load_arrives_undamaged_with_every_framing(self):
        sink = self.sink()
        hub = self.hub(sink.address)
        plain = load.run_source(self.folder, hub.address, "--sessions", 10, "--messages", 1000, "--recipients", 3, "--verify", name="plain")
        chunked = load.run_source(self.folder, hub.address, "--sessions", 10, "--messages", 1000, "--chunking", "--verify", "--size", 70_000,
                                  name="chunked")
        fresh = load.run_source(self.folder, hub.address, "--sessions", 10, "--messages", 1000, "--fresh-connections", "--verify",
                                "--no-pipelining", name="fresh")
        self.assertEqual([plain["exit_code"], chunked["exit_code"], fresh["exit_code"]], [0, 0, 0])
        hub.wait_empty(60)
        sink.stop()
        self.assertEqual(sink.counts()["damaged"], 0)
        self.assertEqual(sink.counts()["bare_line_ends"], 0)
        ledger = load.ledger([self.folder / f"{name}.ledger" for name in ("plain", "chunked", "fresh")], [sink.ledger])
        self.assert_nothing_lost(ledger, duplicates=0)
        self.assertEqual(ledger["delivered"], 5000)


class PostfixBothWays(LabCase):
    def test_postfix_relays_through_umbra(self):
        sink = self.sink()
        hub = self.hub(sink.address)
        postfix = self.postfix(hub.address)
        result = load.run_source(self.folder, postfix.address, "--sessions", 10, "--messages", 500, "--recipients", 2)
        self.assertEqual(result["acknowledged"], 500)
        sink.wait_for(500, 60)
        hub.wait_empty(20)
        sink.stop()
        ledger = load.ledger([self.folder / "source.ledger"], [sink.ledger])
        self.assert_nothing_lost(ledger, duplicates=0)
        self.assertEqual(ledger["delivered"], 1000)
        self.assertEqual(postfix.queued(), 0)

    def test_umbra_relays_to_postfix(self):
        sink = self.sink()
        postfix = self.postfix(sink.address)
        hub = self.hub(postfix.address)
        result = load.run_source(self.folder, hub.address, "--sessions", 10, "--messages", 500, "--recipients", 2)
        self.assertEqual(result["acknowledged"], 500)
        sink.wait_for(500, 60)
        hub.wait_empty(20)
        sink.stop()
        ledger = load.ledger([self.folder / "source.ledger"], [sink.ledger])
        self.assert_nothing_lost(ledger, duplicates=0)
        self.assertEqual(ledger["delivered"], 1000)

    def test_what_postfix_refuses_for_good_comes_back_as_a_notification(self):
        home = self.capture()
        away = self.sink()
        postfix = self.postfix(away.address, settings={"smtpd_recipient_restrictions": "check_recipient_access inline:{"
                                                       "{nobody@sink.example = 550 5.1.1 no such user}}, permit_mynetworks, reject"})
        hub = self.hub(routes=[{"name": "home", "domains": ["source.example"], "hosts": [home.address]},
                               {"name": "all", "domains": ["*"], "hosts": [postfix.address]}])
        with smtplib.SMTP("127.0.0.1", hub.port, timeout=30) as client:
            client.sendmail("a@source.example", ["nobody@sink.example", "somebody@sink.example"], b"Subject: x\r\n\r\nx\r\n")
        notification = email.message_from_bytes(home.wait_for(1)[0].octets)
        self.assertEqual(notification.get_content_type(), "multipart/report")
        away.wait_for(1, 20)


if __name__ == "__main__":
    unittest.main()
