"""Clients that log on: swaks, smtplib, curl and Postfix against a password file and against Dovecot; passwords that change; wrong ones; a flood
of them. And this hub logging on at smart hosts: another hub, and Postfix with Dovecot."""
import base64
import hashlib
import hmac
import os
import shutil
import smtplib
import socket
import ssl
import subprocess
import threading
import time

from lab import places
from lab.case import LabCase
from lab.certificates import Authority
from lab.dovecot import Dovecot, why_not
from lab.hub import route_to
from lab.process import wait_until
from lab.talk import Talk, session

TEXT = b"Subject: x\r\n\r\nhello\r\n"


def crypt_line(user, password, method="-6"):
    done = subprocess.run(["openssl", "passwd", method, "-stdin"], input=password, capture_output=True, text=True, check=True, timeout=30)
    return f"{user}:{done.stdout.strip()}\n"


def scram_line(user, password, iterations=4096):
    """As PostgreSQL writes it, by our own arithmetic (RFC 5802 section 3)."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt, stored, server = (base64.b64encode(octets).decode() for octets in (salt, stored, server))
    return f"{user}:SCRAM-SHA-256${iterations}:{salt}${stored}:{server}\n"


def plain(user, password):
    return "AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode()


class AuthenticationCase(LabCase):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder / "tls")
        self.pem = self.authority.issue("hub.pem", "DNS:hub-1.example,IP:127.0.0.1")
        self.users = self.folder / "users"

    def write_users(self, *lines):
        self.users.write_text("".join(lines))
        self.users.chmod(0o600)

    def asking_hub(self, *next_hops, authentication=None, tls=True, listener=None, **options):
        """A hub where nobody may relay by address. The reply to a failed log-on is not kept back unless the test says so."""
        settings = {"mode": "offered", "password_file": str(self.users), "tarpit": "0s", **(authentication or {})}
        if "dovecot" in settings:
            del settings["password_file"]
        if tls:
            options["tls"] = {"mode": "starttls", "certificate": str(self.pem)}
        else:
            settings["allow_without_tls"] = True
        return self.hub(*next_hops, networks=(), listener={"authentication": settings, **(listener or {})}, **options)

    def assert_sent_by(self, hub, *users):
        """Those who had logged on when mail was accepted, by the log."""
        def said():
            return sorted(event.get("user", "") for event in hub.events("accepted"))
        wait_until(lambda: said() == sorted(users), 10, lambda: f"mail of {users}, there is {said()}")

    def client(self, hub):
        client = smtplib.SMTP("127.0.0.1", hub.port, timeout=30)
        self.addCleanup(client.close)
        client.starttls(context=ssl.create_default_context(cafile=str(self.authority.pem)))
        client.ehlo("client.example")
        return client


class PasswordFile(AuthenticationCase):
    def test_who_has_logged_on_may_relay_and_the_log_says_who_it_was(self):
        self.write_users(crypt_line("alice", "open sesame"), scram_line("bob@example.com", "ünder"))
        capture = self.capture()
        hub = self.asking_hub(capture.address)
        for user, password in (("alice", "open sesame"), ("bob@example.com", "ünder")):
            for mechanism in ("auth_plain", "auth_login"):
                client = self.client(hub)
                self.assertEqual(client.esmtp_features["auth"].split(), ["PLAIN", "LOGIN"])
                client.user, client.password = user, password
                if password.isascii():
                    self.assertEqual(client.auth(mechanism[5:].upper(), getattr(client, mechanism))[0], 235)
                else:
                    self.assertEqual(client.docmd(plain(user, password))[0], 235)
                client.sendmail("a@source.example", ["b@sink.example"], TEXT)
        for message in capture.wait_for(4):
            self.assertIn(b" with ESMTPSA id ", message.octets)
            self.assertNotIn(b"alice", message.octets)
        self.assert_sent_by(hub, *["alice"] * 2, *["bob@example.com"] * 2)
        self.assertEqual(hub.metric("umbra_authentications_total"), 4)
        self.assertNotIn("sesame", hub.log.read_text())

    def test_nothing_is_offered_or_taken_before_tls(self):
        self.write_users(crypt_line("alice", "open sesame"))
        hub = self.asking_hub("127.0.0.1:9", authentication={"mode": "required"})
        with Talk(hub.address) as talk:
            self.assertNotIn("AUTH", talk.say("EHLO c.example")[1])
            self.assertEqual(talk.say(plain("alice", "open sesame"))[0], 538)
            self.assertEqual(talk.say("MAIL FROM:<a@b.example>"), (530, "5.7.0 STARTTLS and AUTH first"))
        client = self.client(hub)
        self.assertEqual(client.docmd("MAIL FROM:<a@b.example>"), (530, b"5.7.0 AUTH first"))
        client.login("alice", "open sesame")
        self.assertEqual(client.mail("a@b.example")[0], 250)

    def test_swaks_and_curl_log_on(self):
        if not shutil.which("swaks"):
            self.skipTest("swaks is not installed")
        self.write_users(scram_line("alice", "open sesame"))
        capture = self.capture()
        hub = self.asking_hub(capture.address)
        for mechanism in ("PLAIN", "LOGIN"):
            done = subprocess.run(["swaks", "--server", hub.address, "--tls", "--auth", mechanism, "--auth-user", "alice", "--auth-password", "open sesame",
                                   "--from", "a@source.example", "--to", "b@sink.example"], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        wrong = subprocess.run(["swaks", "--server", hub.address, "--tls", "--auth", "PLAIN", "--auth-user", "alice", "--auth-password", "wrong",
                                "--from", "a@source.example", "--to", "b@sink.example"], capture_output=True, text=True, timeout=60, check=False)
        self.assertIn("535 5.7.8 authentication failed", wrong.stdout)
        capture.wait_for(2)
        mail = self.folder / "mail"
        mail.write_bytes(TEXT)
        for mechanism in ("PLAIN", "LOGIN"):
            done = subprocess.run(["curl", "-sS", "--ssl-reqd", "--cacert", str(self.authority.pem), "--url", f"smtp://{hub.address}", "--login-options",
                                   f"AUTH={mechanism}", "--user", "alice:open sesame", "--mail-from", "a@source.example", "--mail-rcpt", "b@sink.example",
                                   "--upload-file", str(mail)], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
        capture.wait_for(4)
        self.assertEqual(hub.metric("umbra_authentications_total"), 4)
        self.assertEqual(hub.metric("umbra_authentication_failures_total"), 1)

    def test_scram_by_another_implementation(self):
        """RFC 5802 by Python's own arithmetic: the hub proves that it has the keys, and never sees the password."""
        self.write_users(scram_line("alice", "open sesame"))
        hub = self.asking_hub("127.0.0.1:9")
        client = self.client(hub)
        self.assertEqual(client.esmtp_features["auth"].split(), ["SCRAM-SHA-256", "PLAIN", "LOGIN"])
        for password, expected in (("wrong", 535), ("open sesame", 235)):
            first = "n=alice,r=" + base64.b64encode(os.urandom(18)).decode()
            code, answer = client.docmd("AUTH SCRAM-SHA-256 " + base64.b64encode(b"n,," + first.encode()).decode())
            self.assertEqual(code, 334)
            server_first = base64.b64decode(answer).decode()
            fields = dict(field.split("=", 1) for field in server_first.split(","))
            salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
            client_key = hmac.digest(salted, b"Client Key", "sha256")
            without_proof = "c=biws,r=" + fields["r"]
            signed = ",".join((first, server_first, without_proof)).encode()
            signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
            proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature, strict=True))).decode()
            code, answer = client.docmd(base64.b64encode(f"{without_proof},p={proof}".encode()).decode())
            if expected == 535:
                self.assertEqual(code, 535)
                continue
            self.assertEqual(code, 334)
            verifier = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
            self.assertEqual(base64.b64decode(answer), b"v=" + base64.b64encode(verifier))
            self.assertEqual(client.docmd("")[0], 235)

    def test_a_user_who_is_not_there_is_told_the_same_after_the_same_time(self):
        self.write_users(crypt_line("alice", "open sesame"), crypt_line("bob", "other"))
        hub = self.asking_hub("127.0.0.1:9", tls=False, authentication={"failures_max": 100})
        times = {"alice": [], "nobody": []}
        with session(hub.address) as talk:
            for _ in range(20):
                for user, taken in times.items():
                    begun = time.monotonic()
                    self.assertEqual(talk.say(plain(user, "wrong")), (535, "5.7.8 authentication failed"))
                    taken.append(time.monotonic() - begun)
        known, unknown = (sorted(taken)[len(taken) // 2] for taken in times.values())
        self.assertLess(abs(known - unknown), max(known, unknown) * 0.5, times)
        self.assertGreater(unknown, 0.0005, "a hash was computed")

    def test_passwords_change_with_a_reload_and_a_wrong_file_changes_nothing(self):
        self.write_users(crypt_line("alice", "old"))
        hub = self.asking_hub("127.0.0.1:9", tls=False)

        def code(password):
            with session(hub.address) as talk:
                return talk.say(plain("alice", password))[0]

        self.assertEqual((code("old"), code("new")), (235, 535))
        self.write_users(crypt_line("alice", "new"))
        self.assertEqual((code("old"), code("new")), (235, 535), "nobody has asked for it yet")
        with session(hub.address) as before:
            said = hub.umbra("reload").stdout
            self.assertIn("password_file", said)
            self.assertNotIn("$6$", said)
            self.assertEqual((code("old"), code("new")), (535, 235))
            self.assertEqual(before.say(plain("alice", "old"))[0], 235, "a session goes on as it began")
        self.write_users(crypt_line("alice", "newer"), "mallory:in the clear\n")
        done = hub.umbra("reload", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout + done.stderr, r"users:2: the secret has blanks")
        self.assertEqual((code("new"), code("newer")), (235, 535))
        self.write_users(crypt_line("alice", "newer"))
        self.users.chmod(0o644)
        self.assertIn("may be read by everybody", hub.umbra("reload", check=False).stdout)
        check = subprocess.run([places.UMBRA, "check", hub.config], capture_output=True, text=True, timeout=30, check=False)
        self.assertRegex(check.stderr, r"hub\.yaml:\d+: listeners\[0\]\.authentication\.password_file: .*may be read by everybody")
        self.users.chmod(0o600)
        hub.umbra("reload")
        self.assertEqual((code("new"), code("newer")), (535, 235))

    def test_what_makes_no_sense_is_told_before_the_start(self):
        self.write_users(crypt_line("alice", "x"))
        for settings, tls, why in (({"mode": "offered"}, None, "password_file is missing"),
                                   ({"password_file": str(self.users)}, None, "mode is missing"),
                                   ({"mode": "offered", "password_file": str(self.users)}, None, "this listener has no TLS"),
                                   ({"mode": "offered", "password_file": str(self.folder / "nowhere"), "allow_without_tls": True}, None, "cannot be opened")):
            hub = self.hub("127.0.0.1:9", start=False, listener={"authentication": settings}, tls=tls)
            hub.write_config()
            done = subprocess.run([places.UMBRA, "check", hub.config], capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual(done.returncode, 1, settings)
            self.assertIn(why, done.stderr)


class Guessing(AuthenticationCase):
    def test_a_session_may_guess_three_times_and_each_reply_is_kept_back(self):
        self.write_users(crypt_line("alice", "open sesame"))
        hub = self.asking_hub("127.0.0.1:9", tls=False, authentication={"tarpit": "700ms"})
        with session(hub.address) as talk:
            for _ in range(3):
                begun = time.monotonic()
                self.assertEqual(talk.say(plain("alice", "guess"))[0], 535)
                self.assertGreaterEqual(time.monotonic() - begun, 0.7)
            self.assertEqual(talk.say(plain("alice", "open sesame")), (421, "4.7.0 too many failed log-ons, closing"))
            self.assertEqual(talk.until_closed(), [])
        with session(hub.address) as talk:
            begun = time.monotonic()
            self.assertEqual(talk.say(plain("alice", "open sesame"))[0], 235)
            self.assertLess(time.monotonic() - begun, 0.6, "a right one is not kept back")
        self.assertEqual(hub.metric("umbra_authentication_failures_total"), 3)

    def test_guesses_from_everywhere_do_not_hold_up_mail(self):
        """Hashes are slow by design; they are not computed where mail is moved."""
        self.write_users(crypt_line("alice", "open sesame"), scram_line("bob", "x", iterations=200_000))
        capture = self.capture()
        hub = self.asking_hub(capture.address, tls=False, listener={"networks": ["127.0.0.0/8"]}, authentication={"failures_max": 100})
        stop, codes = threading.Event(), []

        def guess():
            while not stop.is_set():
                with session(hub.address, timeout=60) as talk:
                    for _ in range(20):
                        codes.append(talk.say(plain("bob", "guess"))[0])
                        if stop.is_set():
                            return

        guessers = [threading.Thread(target=guess, daemon=True) for _ in range(80)]
        for guesser in guessers:
            guesser.start()
        wait_until(lambda: len(codes) > 100, 60, "guesses")
        waits = []
        with session(hub.address) as talk:
            for _ in range(20):
                begun = time.monotonic()
                self.assertEqual(talk.send_mail()[0], 250)
                waits.append(time.monotonic() - begun)
        stop.set()
        for guesser in guessers:
            guesser.join(60)
        self.assertEqual(set(codes), {535, 454}, "some were told that nobody has time")
        self.assertLess(sorted(waits)[10], 0.5, waits)
        capture.wait_for(20)


class Users(AuthenticationCase):
    def test_a_throttling_policy_is_associated_with_a_user(self):
        self.write_users(crypt_line("app", "a"), crypt_line("bulk", "b"))
        hub = self.asking_hub("127.0.0.1:9", tls=False, throttling=[
            {"name": "default", "message_rate_limit": 3, "message_rate_source": "user"},
            {"name": "apps", "users": ["app"], "message_rate_limit": 6, "message_rate_source": "user"}])

        def sent(user, password):
            with session(hub.address) as talk:
                self.assertEqual(talk.say(plain(user, password))[0], 235)
                for count in range(100):
                    code, text = talk.send_mail()
                    if code != 250:
                        self.assertEqual((code, text[:6]), (450, "4.7.1 "))
                        return count
            return None

        self.assertEqual([sent("bulk", "b"), sent("app", "a"), sent("bulk", "b"), sent("app", "a")], [3, 6, 0, 0])
        self.assertEqual(hub.metric("umbra_throttled_total"), 4)


class PostfixAsClient(AuthenticationCase):
    def test_postfix_logs_on_here(self):
        self.write_users(crypt_line("relay", "open sesame"))
        capture = self.capture()
        hub = self.asking_hub(capture.address, authentication={"mode": "required"})
        passwords = self.folder / "sasl_passwd"
        passwords.write_text(f"[127.0.0.1]:{hub.port} relay:open sesame\n")
        passwords.chmod(0o644)
        postfix = self.postfix(hub.address, settings={"smtp_sasl_auth_enable": "yes", "smtp_sasl_password_maps": f"texthash:{passwords}",
                                                      "smtp_sasl_security_options": "noanonymous", "smtp_tls_security_level": "encrypt"})
        with smtplib.SMTP("127.0.0.1", postfix.port, timeout=30) as client:
            for number in range(5):
                client.sendmail("a@source.example", [f"u{number}@sink.example"], TEXT)
        for message in capture.wait_for(5, 60):
            self.assertIn(b" with ESMTPSA id ", message.octets)
        self.assert_sent_by(hub, *["relay"] * 5)


class WithDovecot(AuthenticationCase):
    def dovecot(self, **options):
        if why_not():
            self.skipTest(why_not())
        dovecot = Dovecot({"alice": "open sesame", "bob@example.com": "other"}, **options)
        self.addCleanup(dovecot.stop)
        return dovecot

    def asking_dovecot(self, dovecot, *next_hops, **options):
        return self.asking_hub(*next_hops, authentication={"mode": "required", "dovecot": str(dovecot.socket)}, **options)

    def test_dovecot_decides_and_its_mechanisms_are_offered(self):
        dovecot = self.dovecot(mechanisms="plain login scram-sha-256 anonymous digest-md5").start()
        capture = self.capture()
        hub = self.asking_dovecot(dovecot, capture.address)
        client = self.client(hub)
        wait_until(lambda: client.ehlo("client.example")[0] == 250 and client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN", "SCRAM-SHA-256"], 10,
                   lambda: client.esmtp_features)
        client.login("alice", "open sesame")
        client.sendmail("a@source.example", ["b@sink.example"], TEXT)
        client = self.client(hub)
        client.user, client.password = "bob@example.com", "other"
        self.assertEqual(client.auth("LOGIN", client.auth_login)[0], 235)
        client.sendmail("a@source.example", ["b@sink.example"], TEXT)
        capture.wait_for(2)
        self.assert_sent_by(hub, "alice", "bob@example.com")
        for user, password in (("alice", "wrong"), ("nobody", "open sesame")):
            self.assertEqual(self.client(hub).docmd(plain(user, password)), (535, b"5.7.8 authentication failed"))
        cancelled = self.client(hub)
        self.assertEqual(cancelled.docmd("AUTH LOGIN")[0], 334)
        self.assertEqual(cancelled.docmd("*")[0], 501)
        self.assertEqual(cancelled.docmd(plain("alice", "open sesame"))[0], 235)

    def test_while_dovecot_is_away_clients_come_later_and_it_is_found_again(self):
        dovecot = self.dovecot()
        hub = self.asking_dovecot(dovecot, "127.0.0.1:9", tls=False)

        def code():
            with session(hub.address) as talk:
                return talk.say(plain("alice", "open sesame"))

        self.assertEqual(code(), (454, "4.7.0 authentication is not possible now, try again later"))
        dovecot.start()
        wait_until(lambda: code()[0] == 235, 10, "Dovecot is found")
        dovecot.end()
        wait_until(lambda: code()[0] == 454, 10, "Dovecot is away")
        with session(hub.address) as talk:
            for _ in range(6):
                self.assertEqual(talk.say(plain("alice", "open sesame"))[0], 454, "that is no failure of the client's")
        dovecot.start()
        wait_until(lambda: code()[0] == 235, 10, "Dovecot is found again")
        self.assertGreaterEqual(hub.metric("umbra_authentications_unavailable_total"), 7)
        self.assertEqual(hub.metric("umbra_authentication_failures_total"), 0)

    def test_answers_that_are_nonsense_let_nobody_in(self):
        """In Dovecot's place a server that says what it likes."""
        path = self.folder / "a"
        opening = b"VERSION\t1\t2\nMECH\tPLAIN\nDONE\n"
        says = {"answer": b"OK\t1\tuser=\n"}
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        self.addCleanup(listener.close)

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                    with connection:
                        connection.sendall(opening)
                        while octets := connection.recv(65536):
                            if b"AUTH\t" in octets:
                                connection.sendall(says["answer"])
                except OSError:
                    if listener.fileno() < 0:
                        return

        threading.Thread(target=serve, daemon=True).start()
        hub = self.hub("127.0.0.1:9", networks=(), listener={"authentication": {"mode": "offered", "dovecot": str(path), "allow_without_tls": True}})
        for answer in (b"OK\t1\tuser=\n", b"OK\n", b"OK\t1\tuser=" + b"x" * 100_000, b"\0" * 100_000, b"CONT\t1\t!!!\n", b"OK\tmany\tuser=a\n"):
            says["answer"] = answer

            def codes():
                with session(hub.address, timeout=30) as talk:
                    return talk.say(plain("alice", "x"))[0]

            self.assertEqual(codes(), 454, answer[:30])
            time.sleep(1.2)
        self.assertTrue(hub.ready())
        self.assertEqual(hub.metric("umbra_authentications_total"), 0)


class SmartHosts(AuthenticationCase):
    def logging_on(self, address, user="relay", password="open sesame", allow=False, name="hub-2", **options):
        secret = self.folder / f"{name}.password"
        secret.write_text(password + "\n")
        secret.chmod(0o600)
        more = {"allow_without_tls": True} if allow else {}
        tls = {"policy": "verify", "ca": str(self.authority.pem), "names": ["hub-1.example"]}
        return self.hub(name=name, routes=[route_to(address, authentication={"user": user, "password_file": str(secret), **more}, **({} if allow else {"tls": tls}))],
                        **options)

    def send(self, hub, count=1):
        with smtplib.SMTP("127.0.0.1", hub.port, timeout=30) as client:
            for number in range(count):
                client.sendmail("a@source.example", [f"u{number}@sink.example"], TEXT)

    def test_this_hub_logs_on_at_another_by_each_mechanism(self):
        capture = self.capture()
        for count, line in enumerate((crypt_line("relay", "open sesame"), scram_line("relay", "open sesame")), 1):
            self.write_users(line)
            smart = self.asking_hub(capture.address, authentication={"mode": "required"}, name=f"smart-{count}")
            hub = self.logging_on(smart.address, name=f"sender-{count}")
            self.send(hub, 3)
            capture.wait_for(3 * count)
            hub.wait_empty(10)
            self.assert_sent_by(smart, *["relay"] * 3)
            self.assertGreaterEqual(hub.metric("umbra_authentications_out_total"), 1)
            mechanism = "SCRAM-SHA-256" if count == 2 else "PLAIN"
            self.assertIn(f'"mechanism":"{mechanism}"', smart.log.read_text())
            self.assertNotIn("sesame", hub.log.read_text() + smart.log.read_text())

    def test_a_wrong_password_makes_mail_wait_and_a_reload_sends_it(self):
        self.write_users(scram_line("relay", "open sesame"))
        capture = self.capture()
        smart = self.asking_hub(capture.address, authentication={"mode": "required"}, name="smart")
        hub = self.logging_on(smart.address, password="old password")
        self.send(hub)
        wait_until(lambda: hub.queue() and "535" in hub.queue()[0]["last_error"], 10, lambda: hub.queue())
        self.assertEqual(hub.events("bounced"), [])
        wait_until(lambda: "could not log on at a next hop, mail waits" in hub.log.read_text(), 5, "the line in the log")
        self.assertGreaterEqual(hub.metric("umbra_authentication_failures_out_total"), 1)
        (self.folder / "hub-2.password").write_text("open sesame\n")
        hub.umbra("reload")
        hub.umbra("queue", "retry", hub.queue()[0]["id"])
        capture.wait_for(1)
        hub.wait_empty(10)

    def test_the_password_is_shown_to_nobody_without_tls_and_to_no_host_that_is_not_the_right_one(self):
        self.write_users(crypt_line("relay", "open sesame"))
        plain_host = self.capture(extensions=("PIPELINING", "AUTH PLAIN LOGIN"))
        hub = self.logging_on(plain_host.address, name="a")
        self.send(hub)
        wait_until(lambda: hub.queue() and "4.7.4" in hub.queue()[0]["last_error"], 10, lambda: hub.queue())
        self.assertFalse([line for line in plain_host.lines if line.startswith("AUTH")])
        stranger = Authority(self.folder / "other").issue("hub.pem", "DNS:hub-1.example,IP:127.0.0.1")
        smart = self.hub(plain_host.address, name="smart", networks=(), tls={"mode": "starttls", "certificate": str(stranger)},
                         listener={"authentication": {"mode": "required", "password_file": str(self.users)}})
        hub = self.logging_on(smart.address, name="b")
        self.send(hub)
        wait_until(lambda: hub.queue() and "4.7.5" in hub.queue()[0]["last_error"], 10, lambda: hub.queue())
        self.assertEqual(smart.metric("umbra_authentications_total") + smart.metric("umbra_authentication_failures_total"), 0)
        # And mail for another route goes without it.
        other = self.capture(extensions=("PIPELINING", "AUTH PLAIN LOGIN"))
        secret = self.folder / "b.password"
        routes = [route_to(smart.address, name="one", domains=["one.example"], tls={"policy": "encrypt"},
                           authentication={"user": "relay", "password_file": str(secret)}), route_to(other.address, name="rest")]
        hub = self.hub(name="c", routes=routes)
        self.send(hub)
        other.wait_for(1)
        self.assertFalse([line for line in other.lines if line.startswith("AUTH")])

    def test_a_host_that_proves_nothing_or_offers_nothing_gets_no_mail(self):
        for extensions, why in ((("PIPELINING",), "offers no way to log on"), (("PIPELINING", "AUTH GSSAPI"), "offers no way to log on")):
            host = self.capture(extensions=extensions)
            hub = self.logging_on(host.address, allow=True, name=f"hub-{len(extensions)}")
            self.send(hub)
            wait_until(lambda hub=hub, why=why: hub.queue() and why in hub.queue()[0]["last_error"], 10, lambda hub=hub: hub.queue())
            self.assertEqual(host.messages, [])
        # One that answers 235 to the first word of SCRAM has proved nothing; one that asks for a billion iterations gets none.
        for number, (reply, why) in enumerate(((b"235 2.7.0 welcome\r\n", "without proving that it knows it"),
                                               (b"334 " + base64.b64encode(b"r=abc,s=AAAA,i=1000000000") + b"\r\n", "iterations"),
                                               (b"334 " + base64.b64encode(b"r=abc,s=AAAA,i=1") + b"\r\n", "iterations"),
                                               (b"334 " + base64.b64encode(b"r=abc,s=AAAA,i=4096") + b"\r\n", "SCRAM-SHA-256"))):
            server = FalseHost(reply)
            self.addCleanup(server.close)
            hub = self.logging_on(server.address, allow=True, name=f"false-{number}")
            self.send(hub)
            wait_until(lambda hub=hub, why=why: hub.queue() and why in hub.queue()[0]["last_error"], 10, lambda hub=hub: hub.queue())
            self.assertFalse([line for line in server.lines if line.startswith(b"MAIL")])

    def test_a_configuration_that_would_show_the_password_is_refused(self):
        secret = self.folder / "secret"
        secret.write_text("x\n")
        secret.chmod(0o600)
        log_on = {"user": "relay", "password_file": str(secret)}
        for route, why in (({"hosts": [], "authentication": log_on, "tls": {"policy": "verify"}}, "say hosts"),
                           ({"hosts": ["127.0.0.1:9"], "authentication": log_on}, "could go without TLS"),
                           ({"hosts": ["127.0.0.1:9"], "authentication": {"user": "relay"}}, "password_file is missing"),
                           ({"hosts": ["127.0.0.1:9"], "authentication": {"password_file": str(secret)}}, "user is missing")):
            hub = self.hub(start=False, routes=[{"name": "all", "domains": ["*"], **route}])
            hub.write_config()
            done = subprocess.run([places.UMBRA, "check", hub.config], capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual(done.returncode, 1, why)
            self.assertIn(why, done.stderr)

    def test_postfix_with_dovecot_as_smart_host(self):
        if why_not():
            self.skipTest(why_not())
        dovecot = Dovecot({"relay": "open sesame"})
        self.addCleanup(dovecot.stop)
        dovecot.start()
        capture = self.capture()
        postfix = self.postfix(capture.address, settings={
            "smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": f"unix:{dovecot.socket}", "smtpd_tls_security_level": "encrypt",
            "smtpd_tls_cert_file": self.pem, "smtpd_tls_key_file": self.pem, "smtpd_tls_auth_only": "yes", "mynetworks": "192.0.2.0/24",
            "smtpd_relay_restrictions": "permit_sasl_authenticated, reject"})
        hub = self.logging_on(postfix.address)
        self.send(hub, 5)
        capture.wait_for(5, 60)
        hub.wait_empty(10)
        self.assertIn("sasl_method=SCRAM-SHA-256, sasl_username=relay", postfix.log_text())
        wrong = self.logging_on(postfix.address, password="wrong", name="hub-3")
        self.send(wrong)
        wait_until(lambda: wrong.queue() and "535" in wrong.queue()[0]["last_error"], 20, lambda: wrong.queue())
        self.assertEqual(wrong.events("bounced"), [])


class FalseHost:
    """Offers SCRAM-SHA-256 and says `reply` to everything after EHLO."""

    def __init__(self, reply):
        self.reply, self.lines = reply, []
        self.port = places.free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
                with connection, connection.makefile("rb") as lines:
                    connection.sendall(b"220 false.example\r\n")
                    for line in lines:
                        self.lines.append(line)
                        connection.sendall(b"250-false.example\r\n250 AUTH SCRAM-SHA-256\r\n" if line.startswith(b"EHLO") else self.reply)
            except OSError:
                if self._listener.fileno() < 0:
                    return
