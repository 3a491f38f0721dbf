"""The sessions between hubs as a stranger, a clumsy second implementation and a restored backup meet them (docs/xshadow.md)."""
import hashlib
import hmac
import secrets
import shutil
import smtplib
import socket
import time
import unittest

from lab.case import LabCase
from lab.process import wait_until

SECRET = b"a secret for this folder only, 0123456789"
ID = "9f86d081884c7d65-10000000002"


class HubTalk:
    """A second implementation of XSHADOW, as small as can be."""

    def __init__(self, hub, name="hub-2", spool="00000000000000b2", epoch=1, sequence=1, secret=SECRET, version=1):
        self.socket = socket.create_connection(("127.0.0.1", hub.cluster_port), timeout=10)
        self.file = self.socket.makefile("rb")
        self.hello = (name, spool, str(epoch), str(sequence), secrets.token_hex(32))
        self.secret = secret
        self.version = self.used = version
        self.greeting = self.reply()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def reply(self):
        """(code, [text of each line]), or (0, []) when the session has ended."""
        lines = []
        while True:
            line = self.file.readline().decode()
            if not line:
                return 0, lines
            lines.append(line[4:].rstrip("\r\n"))
            if line[3:4] != "-":
                return int(line[:3]), lines

    def ask(self, data):
        self.send(data)
        return self.reply()

    def prove(self):
        code, lines = self.ask(f"XHUB {self.version} " + " ".join(self.hello) + "\r\n")
        if code != 334:
            return code
        words = lines[0].split(" ")
        server, proof = words[:5], words[5]
        self.used = int(words[6]) if len(words) > 6 else self.version
        assert proof == self.proof("server", server), "the hub proves itself too"
        return self.ask(f"XPROOF {self.proof('client', server)}\r\n")[0]

    def proof(self, role, server):
        of = f" of {self.version}" if self.used != self.version else ""
        text = "\n".join([f"umbra xshadow {self.used}{of}", role, *self.hello, *server])
        return hmac.new(self.secret, text.encode(), hashlib.sha256).hexdigest()


class Strangers(LabCase):
    def setUp(self):
        super().setUp()
        self.one = self.cluster(2, "127.0.0.1:9", start=False).hubs[0]
        self.one.start()

    def talk(self, **options):
        talk = HubTalk(self.one, **options)
        self.addCleanup(talk.close)
        return talk

    def test_nothing_is_offered_to_who_has_not_proved_itself(self):
        talk = self.talk()
        self.assertEqual(talk.greeting[0], 220)
        code, lines = talk.ask("EHLO stranger\r\n")
        self.assertEqual(code, 250)
        self.assertFalse([line for line in lines if "XSHADOW" in line])
        for command in (f"XFORGET {ID} 1\r\n", "XBEAT 1 1\r\n", f"XASK {len(ID) + 2}\r\n{ID}\r\n"):
            self.assertEqual(self.talk().ask(command)[0], 530, command)

    def test_a_wrong_secret_or_name_is_refused(self):
        self.assertEqual(self.talk(secret=b"another secret of the same length......!").ask("XPROOF 00\r\n")[0], 503)
        talk = self.talk()
        self.assertEqual(talk.ask("XHUB 1 " + " ".join(talk.hello) + "\r\n")[0], 334)
        self.assertEqual(talk.ask("XPROOF " + "0" * 64 + "\r\n")[0], 535)
        self.assertEqual(talk.reply()[0], 0)
        self.assertEqual(self.talk(name="hub-9").prove(), 535)
        self.assertGreaterEqual(self.one.metric("umbra_hub_protocol_errors_total"), 2)

    def test_a_second_implementation_can_keep_and_end_a_copy(self):
        talk = self.talk()
        self.assertEqual(talk.prove(), 235)
        code, lines = talk.ask("EHLO hub-2\r\n")
        self.assertIn("XSHADOW 1", lines)
        code, lines = talk.ask("XBEAT 1 1\r\n")
        self.assertEqual((code, lines), (250, ["2.0.0 lease 2000"]))
        envelope = b"\x01" + b"\x03a@b" + b"\x00" * 2 + b"\x00" + b"\x80\x01" + b"\x80\x01" + b"\x00" * 2 + b"\x01" + b"\x03c@d" + b"\x00\x00"
        body = b"Subject: x\r\n\r\nhello\r\n"
        ident = "00000000000000b2-10000000001"
        offer = f"XCOPY {ident} 1 {len(envelope)} {len(body)} INLINE hub-1/{self.one.status()['spool']}\r\n".encode() + envelope + body
        self.assertEqual(talk.ask(offer)[0], 250)
        self.assertEqual(talk.ask(offer)[0], 250, "the same copy twice is held once")
        self.assertEqual(self.one.counts()["shadows"], 1)
        code, lines = talk.ask(f"XASK {len(ident) + 2}\r\n{ident}\r\n")
        self.assertEqual(lines[0], f"2.0.0 {ident} held 1 hub-2 00000000000000b2")
        item = f"1 {ident} 1 all\r\n"
        done = f"XDONE {len(item)}\r\n{item}"
        self.assertEqual(talk.ask(done)[0], 250)
        self.assertEqual(talk.ask(done)[0], 250, "every step may be repeated")
        self.assertEqual(self.one.counts()["shadows"], 0)
        self.assertEqual(talk.ask(offer)[0], 550, "a copy that comes after its discard is refused")
        self.assertEqual(talk.ask(f"XASK {len(ident) + 2}\r\n{ident}\r\n")[1][0], f"2.0.0 {ident} unknown 0")
        self.assertEqual(talk.ask("QUIT\r\n")[0], 221)

    def test_a_streamed_copy_that_is_cut_off_is_not_kept(self):
        talk = self.talk()
        self.assertEqual(talk.prove(), 235)
        envelope = b"\x01" + b"\x03a@b" + b"\x00" * 2 + b"\x00" + b"\x80\x01" + b"\x80\x01" + b"\x00" * 2 + b"\x01" + b"\x03c@d" + b"\x00\x00"
        ident = "00000000000000b2-10000000007"
        head = f"XCOPY {ident} 1 {len(envelope)} 9 STREAM hub-1/{self.one.status()['spool']}\r\n".encode()
        self.assertEqual(talk.ask(head + envelope)[0], 250)
        self.assertEqual(talk.ask(f"XCHUNK {ident} 5\r\nabcde")[0], 250)
        talk.close()
        time.sleep(0.3)
        self.assertEqual(self.one.counts()["shadows"], 0)

    def test_malformed_commands_get_their_codes_and_end_the_session(self):
        rows = [("XWHAT\r\n", 500), ("x" * 5000, 500), ("XBEAT one two\r\n", 501), (f"XFORGET {ID}\r\n", 501), ("XDONE 3\r\nabc", 501),
                ("XDONE 99999999999\r\n", 501), (f"XCHUNK {ID} 300000\r\n" + "x" * 300000, 552), (f"XCOPY {ID} 1 1 1 INLINE nobody\r\nab", 501),
                (f"XCOPY {ID} 1 2 1 INLINE hub-1/00000000000000b1\r\nabc", 501), (f"XCHUNK {ID} 1 LAST\r\nx", 503), ("XHUB 1 a b c d e\r\n", 501)]
        before = self.one.metric("umbra_hub_protocol_errors_total")
        for wire, code in rows:
            talk = self.talk()
            self.assertEqual(talk.prove(), 235)
            self.assertEqual(talk.ask(wire)[0], code, wire[:60])
        self.assertGreaterEqual(self.one.metric("umbra_hub_protocol_errors_total") - before, 9)
        self.assertEqual(self.one.counts()["shadows"], 0)

    def test_an_epoch_that_is_over_and_a_history_that_went_backwards_are_refused(self):
        self.assertEqual(self.talk(epoch=5, sequence=100).prove(), 235)
        self.assertEqual(self.talk(epoch=4, sequence=100).prove(), 554)
        self.assertEqual(self.talk(epoch=6, sequence=99).prove(), 555)
        self.assertEqual(self.talk(epoch=6, sequence=100).prove(), 235)
        self.assertEqual(self.talk(spool="00000000000000b3", epoch=1, sequence=1).prove(), 235, "a new spool is a new history")


class RestoredBackup(LabCase):
    def test_a_hub_with_a_restored_spool_is_refused_and_its_mail_is_delivered_by_the_others(self):
        sink = self.sink()
        hubs = self.cluster(3, sink.address)
        victim, other = hubs.hubs[0], hubs.hubs[1]
        victim.stop()
        backup = self.folder / "backup"
        shutil.copytree(victim.spool, backup)
        for _ in range(2):
            victim.start()
            hubs.wait_joined()
            with smtplib.SMTP("127.0.0.1", victim.port, timeout=20) as client:
                client.sendmail("a@example.org", ["someone@sink.example"], "Subject: x\r\n\r\nhello\r\n")
            victim.wait_empty(10)
            victim.stop()
        shutil.rmtree(victim.spool)
        shutil.copytree(backup, victim.spool)
        victim.start(wait=False)
        wait_until(lambda: not victim.process.alive(), 20, "the restored hub ends")
        self.assertEqual(victim.process.popen.returncode, 1)
        self.assertIn("remembers a later state of this spool", victim.process.said())
        self.assertTrue(other.ready())


if __name__ == "__main__":
    unittest.main()
