"""Malformed input: each gets its code, and nothing of it is kept."""
import socket
import time

from lab.case import LabCase
from lab.talk import Closed, Talk, session

MAIL = b"MAIL FROM:<a@source.example>\r\n"
RCPT = b"RCPT TO:<b@sink.example>\r\n"
ENVELOPE = b"EHLO c.example\r\n" + MAIL + RCPT

# (what, octets sent after the greeting, code of the last reply). A dialog that the server ends is fine where the code is right.
COMMANDS = [
    ("a command that does not exist", b"EXPLODE now\r\n", 500),
    ("an empty line", b"\r\n", 500),
    ("EHLO without a name", b"EHLO\r\n", 501),
    ("MAIL before EHLO", MAIL, 503),
    ("RCPT before MAIL", b"EHLO c\r\n" + RCPT, 503),
    ("DATA before MAIL", b"EHLO c\r\nDATA\r\n", 503),
    ("DATA before RCPT", b"EHLO c\r\n" + MAIL + b"DATA\r\n", 503),
    ("BDAT before MAIL", b"EHLO c\r\nBDAT 5 LAST\r\nhello", 503),
    ("a second MAIL", b"EHLO c\r\n" + MAIL + MAIL, 503),
    ("MAIL without brackets", b"EHLO c\r\nMAIL FROM:a@source.example\r\n", 501),
    ("MAIL without a colon", b"EHLO c\r\nMAIL FROM <a@source.example>\r\n", 501),
    ("MAIL with an address that is none", b"EHLO c\r\nMAIL FROM:<a@@b>\r\n", 501),
    ("MAIL with an unknown parameter", b"EHLO c\r\nMAIL FROM:<a@source.example> FLAVOUR=mint\r\n", 555),
    ("MAIL with SIZE that is no number", b"EHLO c\r\nMAIL FROM:<a@source.example> SIZE=big\r\n", 501),
    ("MAIL with a SIZE over the limit", b"EHLO c\r\nMAIL FROM:<a@source.example> SIZE=999999999999\r\n", 552),
    ("MAIL with BODY twice", b"EHLO c\r\nMAIL FROM:<a@source.example> BODY=7BIT BODY=7BIT\r\n", 501),
    ("MAIL parameters after HELO", b"HELO c\r\nMAIL FROM:<a@source.example> SIZE=10\r\n", 555),
    ("RCPT without an address", b"EHLO c\r\n" + MAIL + b"RCPT TO:<>\r\n", 501),
    ("RCPT without a domain", b"EHLO c\r\n" + MAIL + b"RCPT TO:<b>\r\n", 501),
    ("RCPT with a broken literal", b"EHLO c\r\n" + MAIL + b"RCPT TO:<b@[300.1.2.3]>\r\n", 501),
    ("RCPT with an unknown parameter", b"EHLO c\r\n" + MAIL + b"RCPT TO:<b@sink.example> X=Y\r\n", 555),
    ("RCPT with NOTIFY=NEVER,SUCCESS", b"EHLO c\r\n" + MAIL + b"RCPT TO:<b@sink.example> NOTIFY=NEVER,SUCCESS\r\n", 501),
    ("UTF-8 in an address without SMTPUTF8", b"EHLO c\r\nMAIL FROM:<\xc3\xa4@source.example>\r\n", 553),
    ("NUL in a command", b"EHLO c\r\nMAIL FROM:<a\0@source.example>\r\n", 500),
    ("a command line that is too long", b"EHLO c\r\nMAIL FROM:<" + b"a" * 5000 + b"@source.example>\r\n", 500),
    ("a command that ends with a bare LF", b"EHLO c\r\nMAIL FROM:<a@source.example>\n", 500),
    ("BDAT without a size", ENVELOPE + b"BDAT\r\n", 501),
    ("BDAT with a size that is no number", ENVELOPE + b"BDAT x LAST\r\n", 501),
    ("BDAT with a second word that is not LAST", ENVELOPE + b"BDAT 5 FIRST\r\nhello", 501),
    ("DATA after BDAT", ENVELOPE + b"BDAT 5\r\nhelloDATA\r\n", 503),
    ("an HTTP request", b"GET / HTTP/1.1\r\n", 421),
]

# (what, content that follows ENVELOPE + DATA and ends with CRLF.CRLF, code of the reply to it)
CONTENT = [
    ("a bare LF", b"Subject: x\r\n\r\na\nb\r\n.\r\n", 554),
    ("a bare CR", b"Subject: x\r\n\r\na\rb\r\n.\r\n", 554),
    ("CR CR LF", b"Subject: x\r\n\r\na\r\r\n.\r\n", 554),
    ("LF . CR LF, which is no end of data", b"Subject: x\r\n\r\na\n.\r\nmore\r\n.\r\n", 554),
    ("LF . LF, which is no end of data", b"Subject: x\r\n\r\na\r\n.\nmore\r\n.\r\n", 554),
    ("CR LF . LF, which is no end of data", b"Subject: x\r\n\r\na\r\n.\nMAIL FROM:<evil@x.example>\r\n.\r\n", 554),
    ("NUL", b"Subject: x\r\n\r\na\0b\r\n.\r\n", 554),
    ("a line of 1,001 octets", b"Subject: x\r\n\r\n" + b"x" * 999 + b"\r\n.\r\n", 554),
    ("a header over the limit", b"".join(b"X-%d: %s\r\n" % (i, b"y" * 900) for i in range(400)) + b"\r\nx\r\n.\r\n", 552),
    ("a message over the limit", b"Subject: x\r\n\r\n" + (b"z" * 98 + b"\r\n") * 11_000 + b".\r\n", 552),
    ("51 hops", b"Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\n" * 51 + b"\r\nx\r\n.\r\n", 554),
]


class BadInput(LabCase):
    def setUp(self):
        super().setUp()
        self.next_hop = self.capture()
        self.relay = self.hub(self.next_hop.address, limits={"message_size": "1MiB", "command_timeout": "5s", "data_timeout": "5s"})

    def all_replies(self, octets):
        """Sends everything and closes the sending side; gives (code, text) of all that is answered."""
        with Talk(self.relay.address) as talk:
            talk.send(octets)
            talk.socket.shutdown(socket.SHUT_WR)
            return talk.until_closed()

    def assert_nothing_kept(self):
        time.sleep(0.3)
        self.assertEqual(self.next_hop.messages, [])
        self.assertTrue(self.relay.empty(), self.relay.counts())

    def assert_still_serves(self):
        with session(self.relay.address) as talk:
            self.assertEqual(talk.send_mail()[0], 250)
        self.next_hop.wait_for(1)

    def test_bad_commands_get_their_codes(self):
        for what, octets, code in COMMANDS:
            with self.subTest(what):
                replies = self.all_replies(octets)
                self.assertTrue(replies, "closed without a word")
                # A server that cannot go on may say 421 after the refusal.
                codes = [c for c, _ in replies]
                self.assertIn(code, codes[-2:], replies)
                for c, text in replies:
                    if c >= 400:
                        self.assertRegex(text, rf"^{str(c)[0]}\.\d+\.\d+ ", f"no enhanced status in {c} {text}")
        self.assert_nothing_kept()
        self.assert_still_serves()

    def test_bad_content_gets_its_code_and_is_not_kept(self):
        for what, content, code in CONTENT:
            with self.subTest(what):
                with session(self.relay.address) as talk:
                    for line in (MAIL, RCPT, b"DATA\r\n"):
                        talk.send(line)
                        talk.reply()
                    try:
                        talk.send(content)
                    except ConnectionError:
                        pass
                    got, text = talk.reply()
                    self.assertEqual(got, code, text)
                    # Nothing after the refusal is taken for a command.
                    try:
                        self.assertEqual(talk.say("NOOP")[0], 250)
                    except (Closed, ConnectionError):
                        pass
        self.assert_nothing_kept()
        self.assert_still_serves()

    def test_bad_content_in_chunks_is_not_kept_either(self):
        for what, content, code in CONTENT:
            if "no end of data" in what or "line of" in what:
                continue
            content = content.removesuffix(b".\r\n")
            with self.subTest(what):
                with session(self.relay.address) as talk:
                    for line in (MAIL, RCPT):
                        talk.send(line)
                        talk.reply()
                    try:
                        talk.send(b"BDAT %d LAST\r\n" % len(content) + content)
                    except ConnectionError:
                        pass
                    self.assertEqual(talk.reply()[0], code)
        self.assert_nothing_kept()
        self.assert_still_serves()

    def test_smuggled_commands_stay_content(self):
        # What follows a false end of data must come to nothing: neither a second message nor a reply to it.
        for end in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\n.\r"):
            with self.subTest(end):
                smuggled = b"MAIL FROM:<evil@x.example>\r\nRCPT TO:<victim@sink.example>\r\nDATA\r\nSubject: evil\r\n\r\nevil\r\n.\r\n"
                replies = self.all_replies(ENVELOPE + b"DATA\r\nSubject: x\r\n\r\nx" + end + smuggled)
                self.assertEqual(replies[4][0], 554, replies)
                self.assertNotIn(250, [code for code, _ in replies[5:]], replies)
        self.assert_nothing_kept()

    def test_too_many_errors_end_the_session(self):
        with session(self.relay.address) as talk:
            codes = []
            try:
                for _ in range(50):
                    codes.append(talk.say("NONSENSE")[0])
            except (Closed, ConnectionError):
                pass
        self.assertEqual(codes[-1], 421)
        self.assertLessEqual(len(codes), 11)
        self.assertEqual(set(codes[:-1]), {500})

    def test_a_message_cut_off_is_not_kept(self):
        for cut in (b"Subject: x\r\n\r\nhel", b"Subject: x\r\n\r\nhello\r\n", b"Subject: x\r\n\r\nhello\r\n.", b"Subject: x\r\n\r\nhello\r\n.\r"):
            with session(self.relay.address) as talk:
                for line in (MAIL, RCPT, b"DATA\r\n"):
                    talk.send(line)
                    talk.reply()
                talk.send(cut)
        self.assert_nothing_kept()

    def test_pipelined_commands_are_answered_in_order(self):
        with Talk(self.relay.address) as talk:
            talk.send(b"EHLO c\r\n")
            talk.reply()
            talk.send(MAIL + b"RCPT TO:<@>\r\n" + RCPT + b"DATA\r\n")
            self.assertEqual([talk.reply()[0] for _ in range(4)], [250, 501, 250, 354])
            talk.send(b"Subject: x\r\n\r\nx\r\n.\r\n" + MAIL + RCPT + b"DATA\r\n")
            self.assertEqual([talk.reply()[0] for _ in range(4)], [250, 250, 250, 354])
            talk.send(b"Subject: y\r\n\r\ny\r\n.\r\nQUIT\r\n")
            self.assertEqual([talk.reply()[0] for _ in range(2)], [250, 221])
        self.next_hop.wait_for(2)

    def test_chunks_make_one_message(self):
        with session(self.relay.address) as talk:
            talk.say("MAIL FROM:<a@source.example>")
            talk.say("RCPT TO:<b@sink.example>")
            talk.send(b"BDAT 10\r\nSubject: xBDAT 4\r\n\r\n\r\nBDAT 0\r\nBDAT 7 LAST\r\n.hello\r\n"[:-1])
            self.assertEqual([talk.reply()[0] for _ in range(3)], [250, 250, 250])
            self.assertEqual(talk.reply()[0], 554)  # the last chunk ends with a CR that stands alone
            talk.say("MAIL FROM:<a@source.example>")
            talk.say("RCPT TO:<b@sink.example>")
            talk.send(b"BDAT 10\r\nSubject: xBDAT 4\r\n\r\n\r\nBDAT 8 LAST\r\n.hello\r\n")
            self.assertEqual([talk.reply()[0] for _ in range(3)], [250, 250, 250])
        self.assertTrue(self.next_hop.wait_for(1)[0].octets.endswith(b"Subject: x\r\n\r\n.hello\r\n"))
