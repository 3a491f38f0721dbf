"""The protocol logs and the connectivity log of real hubs: what was said, by connector, switched while the hub runs; no secrets, no content."""
import base64
import csv
import json
import shutil
import smtplib
import socket
import ssl
import subprocess
import time

from lab.case import LabCase
from lab.certificates import Authority
from lab.hub import route_to
from lab.process import wait_until
from lab.talk import Talk, session
from lab import places


def records(hub, kind):
    """The records of a kind of log (RECV, SEND, CONNECTLOG), oldest first: by the names in #Fields."""
    found = []
    for path in sorted((hub.spool / "logs").glob(f"{kind}*.log")):
        fields = None
        for line in path.read_text(errors="surrogateescape").splitlines():
            if line.startswith("#Fields: "):
                fields = line.removeprefix("#Fields: ").split(",")
            elif not line.startswith("#") and fields:
                values = next(csv.reader([line]))
                assert len(values) == len(fields), line
                found.append(dict(zip(fields, values, strict=True)))
    return found


def dialog(hub, kind, session_id=None):
    return [(one["event"], one["data"] or one["context"]) for one in records(hub, kind) if session_id in (None, one["session-id"])]


class ProtocolLogs(LabCase):
    def everything(self, hub):
        return b"".join(path.read_bytes() for path in (hub.spool / "logs").glob("*.log"))

    def assert_in_order(self, hub, kind, *expected):
        """They are written a moment later."""
        def is_there():
            rest = iter(dialog(hub, kind))
            return all(any(event == one[0] and one[1] in text for event, text in rest) for one in expected)
        wait_until(is_there, 10, lambda: f"{expected} in this order in {dialog(hub, kind)}")

    def test_both_directions_are_written_line_by_line(self):
        back_end = self.capture()
        hub = self.hub(listener={"protocol_log": "verbose"}, routes=[route_to(back_end.address, protocol_log="verbose")])
        with Talk(hub.address) as talk:
            # Pipelined, in one write; octets that would break a line, and a field.
            talk.send("EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b,\"x\"@d.example>\r\nRCPT TO:<b@d.example>\r\nNONSENSE \x1b[31m\x07\x0b\r\nDATA\r\n")
            for _ in range(6):
                talk.reply()
            talk.send("Subject: x\r\n\r\nhunter2\r\n.\r\n")
            self.assertEqual(talk.reply()[0], 250)
            talk.say("QUIT")
        back_end.wait_for(1)
        hub.wait_empty(10)
        wait_until(lambda: any(event == "-" for event, _ in dialog(hub, "RECV")), 10, "the end of the session in the log")
        received = records(hub, "RECV")
        self.assertEqual({one["connector-id"] for one in received}, {"default"})
        self.assertEqual({one["session-id"] for one in received}, {received[0]["session-id"]})
        self.assertEqual([one["sequence-number"] for one in received], [str(i) for i in range(len(received))])
        self.assertEqual({one["local-endpoint"] for one in received}, {hub.address})
        self.assertTrue(all(one["remote-endpoint"].startswith("127.0.0.1:") for one in received))
        self.assert_in_order(hub, "RECV", ("+", ""), (">", "220 "), ("<", "EHLO c.example"), ("<", "MAIL FROM:<a@c.example>"), ("<", "RCPT TO:<b,"),
                             ("<", "RCPT TO:<b@d.example>"), ("<", "NONSENSE"), ("<", "DATA"), (">", "250 2.1.0"), (">", "501 "), (">", "250 2.1.5"), (">", "500 "),
                             (">", "354 "), ("<", "."), (">", "250 2.6.0 queued as "), ("<", "QUIT"), (">", "221 "), ("-", ""))
        sent = records(hub, "SEND")
        self.assertEqual({one["connector-id"] for one in sent}, {"all"})
        self.assert_in_order(hub, "SEND", ("*", "connecting to 127.0.0.1"), ("+", ""), ("<", "220 "), (">", "EHLO hub-1.example"), ("<", "250-"),
                             (">", "MAIL FROM:<a@c.example>"), (">", "RCPT TO:<b@d.example>"), (">", "BDAT "), ("<", "250 2.0.0 Ok"))
        self.assertNotIn(b"hunter2", self.everything(hub))
        for octet in b"\x1b\x07\x0b":
            self.assertNotIn(octet, self.everything(hub))

    def test_reload_switches_it_for_the_sessions_that_follow(self):
        back_end = self.capture()
        hub = self.hub(back_end.address)

        def switch(level):
            config = json.loads(hub.config.read_text())
            config["listeners"][0]["protocol_log"] = config["routes"][0]["protocol_log"] = level
            hub.config.write_text(json.dumps(config))
            hub.umbra("reload")

        def send(sender):
            with session(hub.address) as talk:
                self.assertEqual(talk.send_mail(sender=sender)[0], 250)
            hub.wait_empty(10)

        send("first@c.example")
        switch("verbose")
        send("second@c.example")
        wait_until(lambda: "second@c.example" in str(records(hub, "SEND")) and "second@c.example" in str(records(hub, "RECV")), 10, "records")
        with session(hub.address) as kept:
            switch("none")
            kept.say("NOOP")  # began under verbose
            send("third@c.example")
            wait_until(lambda: ("<", "NOOP") in dialog(hub, "RECV"), 10, "what a session that goes on said")
        text = str(records(hub, "RECV")) + str(records(hub, "SEND"))
        self.assertNotIn("first@", text)
        self.assertNotIn("third@", text)

    def test_no_secret_is_written_whatever_clients_do(self):
        password, word = "hunter2-correct", base64.b64encode(b"hunter2-correct").decode()
        plain = base64.b64encode(b"\0alice\0hunter2-correct").decode()
        hashed = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=password, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
        users = self.folder / "users"
        users.write_text(f"alice:{hashed}\n")
        users.chmod(0o600)
        other = self.folder / "password"
        other.write_text(password + "\n")
        other.chmod(0o600)
        back_end = self.hub(self.capture().address, name="back-end", networks=(), listener={
            "protocol_log": "verbose", "authentication": {"mode": "required", "password_file": str(users), "allow_without_tls": True, "tarpit": "0s"}})
        hub = self.hub(listener={"protocol_log": "verbose", "authentication": {"mode": "offered", "password_file": str(users), "allow_without_tls": True, "tarpit": "1s"}},
                       routes=[route_to(back_end.address, protocol_log="verbose",
                                        authentication={"user": "alice", "password_file": str(other), "allow_without_tls": True})])
        for said in (f"AUTH PLAIN {plain}", f"auth  plain  {plain}", f"AUTH PLAIN\r\n{plain}", f"AUTH LOGIN\r\nYWxpY2U=\r\n{word}", f"AUTH LOGIN YWxpY2U=\r\n{word}",
                     f"AUTH CRAM-MD5\r\n{word}", f"AUTH PLAIN {plain}x\r\n{plain}", f" AUTH PLAIN {plain}", f"PASS {password}", f"AUTH PLAIN\r\n*\r\n{plain}"):
            with session(hub.address) as talk:
                talk.send(said + f"\r\nNOOP {password}\r\nQUIT\r\n")
                talk.until_closed()
        with session(hub.address) as talk:
            self.assertEqual(talk.say("AUTH PLAIN " + base64.b64encode(b"\0alice\0hunter2-wrong").decode())[0], 535)
            talk.say(f"AUTH PLAIN {plain}")
            self.assertEqual(talk.send_mail()[0], 250)
        hub.wait_empty(20)
        wait_until(lambda: any("logged on as alice by PLAIN" in text for _, text in dialog(hub, "RECV")), 10, "the log-on in the log")
        self.assert_in_order(hub, "SEND", (">", "AUTH "), ("*", "logged on as alice"), (">", "MAIL FROM:"))
        self.assertTrue(any("tarpit: the next reply waits for" in text for _, text in dialog(hub, "RECV")))
        for one in (hub, back_end):
            text = self.everything(one)
            self.assertIn(b"AUTH PLAIN *", text) if one is hub else None
            for secret in (password, word, plain, "hunter2"):
                self.assertFalse(secret.encode() in text, f"{secret} is in the logs of {one.name}")

    def test_tls_is_told_with_its_names(self):
        authority = Authority(self.folder / "tls")
        pem = authority.issue("hub.pem", "DNS:hub-1.example,IP:127.0.0.1")
        hub = self.hub("127.0.0.1:9", tls={"mode": "starttls", "certificate": str(pem)}, listener={"protocol_log": "verbose"})
        before = self.hub(name="before", routes=[route_to(hub.address, protocol_log="verbose", tls={"policy": "opportunistic"})])
        with session(before.address) as talk:
            talk.send_mail()
        before.wait_empty(10)
        context = ssl.create_default_context(cafile=str(authority.pem))
        client = smtplib.SMTP("127.0.0.1", hub.port, timeout=30)
        client.starttls(context=context)
        client.quit()
        wait_until(lambda: sum("TLS established: TLSv1.3 " in text for _, text in dialog(hub, "RECV")) >= 2, 10, "TLS in the log")
        self.assert_in_order(before, "SEND", (">", "STARTTLS"), ("<", "220 "), ("*", "TLS established: TLSv1.3 "), (">", "EHLO"), (">", "MAIL FROM"))
        with socket.create_connection(("127.0.0.1", hub.port)) as bad:
            bad.sendall(b"EHLO x.example\r\nSTARTTLS\r\n")
            wait_until(lambda: bad.recv(4096).endswith(b"ready to start TLS\r\n"), 10, "220")
            bad.sendall(b"no TLS at all, as anybody can see\r\n")
            wait_until(lambda: any("TLS handshake failed" in text for _, text in dialog(hub, "RECV")), 10, "the failure in the log")

    @staticmethod
    def connections(hub):
        return [(one["direction"], one["destination"], one["description"]) for one in records(hub, "CONNECTLOG")]

    def test_connectivity_says_what_was_tried_and_how_it_ended(self):
        back_end = self.capture()
        closed = f"127.0.0.1:{places.free_port()}"
        hub = self.hub(routes=[{**route_to(name="all"), "hosts": [{"address": closed, "preference": 1}, {"address": back_end.address, "preference": 2}]}], delivery={"idle_timeout": "1s"})
        with session(hub.address) as talk:
            talk.send_mail()
            talk.send_mail()
        back_end.wait_for(2)
        wait_until(lambda: any(direction == "-" for direction, _, _ in self.connections(hub)), 20, lambda: f"the end of the connection in {self.connections(hub)}")
        told = self.connections(hub)
        self.assertEqual({destination for _, destination, _ in told}, {"route:all"})
        first, second, third, *_ = told
        self.assertEqual(first[0], "+")
        self.assertRegex(first[2], f"^resolved: .*{closed}.*, .*{back_end.address}")
        self.assertEqual(second[0], ">")
        self.assertRegex(second[2], f"{closed}.*refused; next .*{back_end.address}")
        self.assertEqual(third[0], "+")
        self.assertRegex(third[2], f"^connected to .*{back_end.address}. from 127.0.0.1:")
        last = [text for direction, _, text in told if direction == "-"][0]
        self.assertRegex(last, "^messages: [12], octets: [1-9][0-9]*; ended by this hub$")

    def test_connections_between_hubs_are_called_shadowredundancy(self):
        cluster = self.cluster(2, self.capture().address)
        one, two = cluster.hubs
        with session(one.address) as talk:
            self.assertEqual(talk.send_mail()[0], 250)
        cluster.wait_empty(20)
        told = [text for direction, destination, text in self.connections(one) if destination == "shadowredundancy" and direction == "+"]
        self.assertTrue(told)
        self.assertRegex(told[0], f"^hub hub-2: connected to {two.cluster_address}")
        two.stop()
        wait_until(lambda: any(destination == "shadowredundancy" and direction == "-" and "commands: " in text for direction, destination, text in self.connections(one)),
                   20, "the end of the connection to the other hub")
        wait_until(lambda: any(direction == ">" and "cannot connect" in text for direction, _, text in self.connections(one)), 20, "the failure to connect")
        def failures():
            return [text for direction, destination, text in self.connections(one) if destination == "shadowredundancy" and direction == ">"]
        time.sleep(1)  # both sessions to it have failed once
        count = len(failures())
        time.sleep(3)
        self.assertEqual(len(failures()), count, "the same failure again and again")

    def test_a_delayed_acknowledgement_is_told_with_its_span(self):
        back_end = self.capture()
        back_end.rcpt_reply = lambda address: "451 4.3.0 Later"
        cluster = self.cluster(2, back_end.address, shadow="prefer", cluster={"copy_timeout": "1s"}, listener={"max_acknowledgement_delay": "3s", "protocol_log": "verbose"})
        one, two = cluster.hubs
        two.kill()
        with session(one.address, timeout=20) as talk:
            self.assertEqual(talk.send_mail()[0], 250)
        wait_until(lambda: any(event == "-" for event, _ in dialog(one, "RECV")), 10, "the end of the session in the log")
        told = [text for event, text in dialog(one, "RECV") if event == "*"]
        self.assertEqual(len(told), 1, told)
        self.assertRegex(told[0], r"^acknowledgement delayed [23]\.[0-9] s by shadow redundancy, as no hub took a copy: timed out$")
        self.assert_in_order(one, "RECV", ("<", "."), ("*", "acknowledgement delayed"), (">", "250 2.6.0"))

    def test_swaks_is_seen_as_it_speaks(self):
        if not shutil.which("swaks"):
            self.skipTest("swaks is not installed")
        hub = self.hub(self.capture().address, listener={"protocol_log": "verbose"})
        subprocess.run(["swaks", "--server", hub.address, "--from", "s@c.example", "--to", "r@d.example", "--body", "hunter2", "--silent", "2"], check=True, timeout=60)
        wait_until(lambda: any(event == "-" for event, _ in dialog(hub, "RECV")), 10, "the end of the session in the log")
        self.assert_in_order(hub, "RECV", ("<", "EHLO "), ("<", "MAIL FROM:<s@c.example>"), ("<", "RCPT TO:<r@d.example>"), ("<", "DATA"), ("<", "."), ("<", "QUIT"))
        self.assertNotIn(b"hunter2", self.everything(hub))
