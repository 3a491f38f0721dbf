"""TLS with programs that others wrote: openssl, swaks, smtplib, Postfix in both directions; certificates that change under load."""
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import threading
import unittest

from lab import load, places
from lab.case import LabCase
from lab.certificates import Authority
from lab.hub import route_to
from lab.process import wait_until

TEXT = b"Subject: x\r\n\r\nhello\r\n"


class TlsCase(LabCase):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder / "tls")
        self.pem = self.authority.issue("hub.pem", "DNS:hub-1.example,IP:127.0.0.1")

    def s_client(self, hub, *options, text="QUIT\r\n", starttls=True):
        argv = ["openssl", "s_client", "-connect", hub.address, "-CAfile", str(self.authority.pem), "-verify_return_error", "-crlf",
                *(["-starttls", "smtp"] if starttls else []), *options]
        return subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60)

    def client(self, hub, **options):
        """A session of smtplib that has said EHLO inside TLS."""
        context = ssl.create_default_context(cafile=str(self.authority.pem), **options)
        client = smtplib.SMTP("127.0.0.1", hub.port, timeout=30)
        self.addCleanup(client.close)
        client.starttls(context=context)
        client.ehlo("client.example")
        return client


class Clients(TlsCase):
    def test_openssl_verifies_and_resumes(self):
        hub = self.hub("127.0.0.1:9", tls={"mode": "starttls", "certificate": str(self.pem)})
        done = self.s_client(hub, "-verify_hostname", "hub-1.example")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("Verify return code: 0 (ok)", done.stdout)
        self.assertIn("TLSv1.3", done.stdout)
        again = self.s_client(hub, "-tls1_2", "-reconnect")
        self.assertEqual(again.stdout.count("Reused, TLSv1.2"), 5, again.stdout[-3000:])
        kept = self.folder / "session.pem"
        # At the end of its input openssl closes, at times before it has read the ticket.
        wait_until(lambda: "New, TLSv1.3" in self.s_client(hub, "-tls1_3", "-sess_out", str(kept)).stdout and kept.exists(), 20, "a ticket")
        second = self.s_client(hub, "-tls1_3", "-sess_in", str(kept))
        self.assertIn("Reused, TLSv1.3", second.stdout)
        self.assertGreaterEqual(hub.metric("umbra_tls_sessions_resumed_total"), 6)
        old = self.s_client(hub, "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0")
        self.assertNotEqual(old.returncode, 0)

    def test_swaks_sends_by_starttls_and_by_implicit_tls(self):
        if not shutil.which("swaks"):
            self.skipTest("swaks is not installed")
        capture = self.capture()
        for mode, option in (("required", "--tls"), ("implicit", "--tls-on-connect")):
            hub = self.hub(capture.address, name=f"hub-{mode}", tls={"mode": mode, "certificate": str(self.pem)})
            done = subprocess.run(["swaks", "--server", hub.address, option, "--from", "a@source.example", "--to", "b@sink.example", "--body",
                                   "hello"], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for message in capture.wait_for(2):
            self.assertIn(b" with ESMTPS id ", message.octets)
            self.assertRegex(message.octets.decode(), r"\r\n\ttls TLS_[A-Z0-9_]+;")

    def test_no_mail_without_tls_where_it_is_required(self):
        hub = self.hub("127.0.0.1:9", tls={"mode": "required", "certificate": str(self.pem)})
        with smtplib.SMTP("127.0.0.1", hub.port, timeout=30) as client:
            client.ehlo("client.example")
            self.assertTrue(client.has_extn("starttls"))
            self.assertEqual(client.mail("a@source.example")[0], 530)

    def test_a_client_without_a_good_certificate_is_refused_where_one_is_required(self):
        capture = self.capture()
        hub = self.hub(capture.address, networks=(), tls={"mode": "starttls", "certificate": str(self.pem), "client_certificates": "require",
                                                           "client_ca": str(self.authority.pem), "client_names": ["app.example"]})
        mine = self.authority.issue("app.pem", "DNS:app.example")
        stranger = Authority(self.folder / "other").issue("app.pem", "DNS:app.example")
        for shown in ((), ("-cert", str(stranger))):
            done = self.s_client(hub, *shown, text="EHLO x\r\nMAIL FROM:<a@b.example>\r\nQUIT\r\n")
            self.assertNotIn("sender ok", done.stdout, done.stdout[-2000:])
        context = ssl.create_default_context(cafile=str(self.authority.pem))
        context.load_cert_chain(mine)
        with smtplib.SMTP("127.0.0.1", hub.port, timeout=30) as client:
            client.starttls(context=context)
            client.sendmail("a@source.example", ["b@sink.example"], TEXT)
        capture.wait_for(1)
        self.assertGreaterEqual(hub.metric("umbra_tls_handshake_failures_total"), 2)

    def test_names_choose_the_certificate(self):
        two = self.authority.issue("two.pem", "DNS:two.example")
        hub = self.hub("127.0.0.1:9", tls={"mode": "starttls", "certificate": str(self.pem), "more_certificates": [{"certificate": str(two)}]})
        for name in ("hub-1.example", "two.example"):
            done = self.s_client(hub, "-servername", name, "-verify_hostname", name)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_what_is_injected_before_the_handshake_is_not_obeyed(self):
        hub = self.hub("127.0.0.1:9", tls={"mode": "starttls", "certificate": str(self.pem)})
        with socket.create_connection(("127.0.0.1", hub.port), timeout=10) as plain:
            stream = plain.makefile("rb")
            stream.readline()
            plain.sendall(b"EHLO c.example\r\nSTARTTLS\r\nRSET\r\nMAIL FROM:<evil@example.org>\r\n")
            said = stream.read()
        self.assertIn(b"554 5.5.0", said)
        self.assertNotIn(b"sender ok", said)


class Certificates(TlsCase):
    def test_a_bad_file_is_told_with_its_place_before_the_start(self):
        other = self.authority.issue("other.pem", "DNS:other.example")
        hub = self.hub("127.0.0.1:9", start=False, tls={"mode": "starttls", "certificate": str(self.pem), "key": str(other)})
        hub.write_config()
        done = subprocess.run([str(places.UMBRA), "check", str(hub.config)], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"hub\.yaml:\d+: listeners\[0\]\.tls: .*do not belong together")

    def test_certificates_change_under_load_and_no_connection_is_dropped(self):
        sink = self.sink()
        hub = self.hub(sink.address, tls={"mode": "required", "certificate": str(self.pem)})
        sent, broken = [], []
        stop = threading.Event()

        def send(number):
            try:
                client = self.client(hub)
                while not stop.is_set():
                    client.sendmail("a@source.example", [f"u{number}@sink.example"], TEXT)
                    sent.append(number)
                client.quit()
            except Exception as error:  # pylint: disable=broad-except
                broken.append(repr(error))

        senders = [threading.Thread(target=send, args=(n,)) for n in range(8)]
        for sender in senders:
            sender.start()
        wait_until(lambda: len(sent) > 50 or broken, 20, "mail on its way")
        for turn in range(6):
            self.authority.issue("hub.pem", f"DNS:hub-1.example,DNS:turn-{turn}.example,IP:127.0.0.1")
            if turn % 2:
                hub.process.signal(signal.SIGHUP)
            else:
                self.assertIn("loaded", hub.umbra("reload").stdout)
            wait_until(lambda: self.s_client(hub, "-verify_hostname", f"turn-{turn}.example").returncode == 0, 10, "the new certificate")
            before = len(sent)
            wait_until(lambda: len(sent) > before + 20 or broken, 20, "mail going on")
        # What is wrong is refused, said, and the former certificate stays.
        good = self.pem.read_text()
        cases = [(self.authority.issue("hub.pem", "DNS:hub-1.example", expired=True).read_text(), "expired"),
                 (good.split("-----BEGIN PRIVATE KEY", 1)[0], "no private key"), ("", "no certificate")]
        for number, (text, why) in enumerate(cases, 1):
            self.pem.write_text(text)
            done = hub.umbra("reload", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("refused", done.stdout)
            self.assertIn(why, done.stdout)
            self.assertEqual(hub.metric("umbra_tls_reload_failures_total"), number)
            self.assertEqual(hub.metric("umbra_certificates_refused"), 1)
            self.assertEqual(self.s_client(hub, "-verify_hostname", "turn-5.example").returncode, 0)
        self.pem.write_text(good)
        hub.umbra("reload")
        self.assertEqual(hub.metric("umbra_certificates_refused"), 0)
        self.assertGreater(hub.metric("umbra_certificate_expiry_timestamp_seconds"), 1_700_000_000)
        stop.set()
        for sender in senders:
            sender.join(30)
        self.assertEqual(broken, [])
        hub.wait_empty(20)
        wait_until(lambda: sink.counts()["messages"] == len(sent), 20, lambda: f"{len(sent)} at the sink: {sink.counts()}")


class NextHops(TlsCase):
    def send(self, hub, count=1):
        with smtplib.SMTP("127.0.0.1", hub.port, timeout=30) as client:
            for number in range(count):
                client.sendmail("a@source.example", [f"u{number}@sink.example"], TEXT)

    def next_hop(self, **tls):
        capture = self.capture()
        return capture, self.hub(capture.address, name="next", tls={"mode": "starttls", "certificate": str(self.pem), **tls})

    def test_each_policy_with_a_next_hop_that_has_tls(self):
        capture, next_hop = self.next_hop()
        other = Authority(self.folder / "other")
        rows = [("none", {"policy": "none"}, None), ("default", {}, ""), ("encrypt", {"policy": "encrypt"}, ""),
                ("verify", {"policy": "verify", "ca": str(self.authority.pem), "names": ["hub-1.example"]}, ""),
                ("address", {"policy": "verify", "ca": str(self.authority.pem)}, ""),
                ("name", {"policy": "verify", "ca": str(self.authority.pem), "names": ["hub-2.example"]}, "hostname mismatch"),
                ("ca", {"policy": "verify", "ca": str(other.pem), "names": ["hub-1.example"]}, "certificate verify failed")]
        for count, (name, tls, problem) in enumerate(rows, 1):
            hub = self.hub(name=name, routes=[route_to(next_hop.address, **({"tls": tls} if tls else {}))])
            self.send(hub)
            if problem:
                wait_until(lambda: any("4.7.5" in m["last_error"] for m in hub.queue()), 10, lambda: f"{name}: {hub.queue()}")
                self.assertIn(problem, hub.queue()[0]["last_error"])
                self.assertEqual(hub.counts()["messages"], 1)
                continue
            capture.wait_for(count)
            hub.wait_empty(10)
            delivered = wait_until(lambda hub=hub: hub.events("delivered"), 5, "the line in the log")[0]
            self.assertEqual("tls" in delivered, problem is not None, delivered)

    def test_without_an_offer_mail_waits_or_goes_plain(self):
        capture = self.capture()
        plain = self.hub(capture.address, name="next")
        for policy, problem in (("opportunistic", None), ("encrypt", "4.7.4")):
            hub = self.hub(name=policy, routes=[route_to(plain.address, tls={"policy": policy})])
            self.send(hub)
            if problem:
                wait_until(lambda: any(problem in m["last_error"] for m in hub.queue()), 10, lambda: f"{policy}: {hub.queue()}")
            else:
                capture.wait_for(1)

    def test_sessions_with_a_next_hop_are_resumed(self):
        capture, next_hop = self.next_hop()
        hub = self.hub(routes=[route_to(next_hop.address, messages_per_connection=1, connections=1,
                                        tls={"policy": "verify", "ca": str(self.authority.pem)})])
        self.send(hub, 5)
        capture.wait_for(5)
        hub.wait_empty(10)
        self.assertGreaterEqual(hub.metric("umbra_tls_sessions_resumed_total"), 3)
        self.assertGreaterEqual(next_hop.metric("umbra_tls_sessions_resumed_total"), 3)

    def test_a_next_hop_is_shown_the_certificate_it_asks_for(self):
        capture, next_hop = self.next_hop(client_certificates="require", client_ca=str(self.authority.pem), client_names=["hub-1.example"])
        hub = self.hub(routes=[route_to(next_hop.address, tls={"policy": "encrypt", "certificate": str(self.pem)})])
        self.send(hub)
        capture.wait_for(1)

    def test_postfix_as_next_hop_with_tls(self):
        capture = self.capture()
        postfix = self.postfix(capture.address, settings={"smtpd_tls_security_level": "encrypt", "smtpd_tls_cert_file": self.pem,
                                                          "smtpd_tls_key_file": self.pem, "smtpd_tls_loglevel": "1"})
        hub = self.hub(routes=[route_to(postfix.address, tls={"policy": "verify", "ca": str(self.authority.pem), "names": [".example"]})])
        self.send(hub, 20)
        capture.wait_for(20)
        hub.wait_empty(10)
        self.assertIn("TLSv1.3", postfix.log_text())
        self.assertIn("TLSv1.3", hub.events("delivered")[0]["tls"])

    def test_postfix_as_client_that_verifies(self):
        capture = self.capture()
        hub = self.hub(capture.address, tls={"mode": "required", "certificate": str(self.pem)})
        postfix = self.postfix(hub.address, settings={"smtp_tls_security_level": "secure", "smtp_tls_CAfile": self.authority.pem,
                                                      "smtp_tls_secure_cert_match": "hub-1.example", "smtp_tls_loglevel": "1"})
        with smtplib.SMTP("127.0.0.1", postfix.port, timeout=30) as client:
            for number in range(20):
                client.sendmail("a@source.example", [f"u{number}@sink.example"], TEXT)
        for message in capture.wait_for(20, 60):
            self.assertIn(b" with ESMTPS id ", message.octets)
        self.assertIn("Verified TLS connection established", postfix.log_text())


class Hubs(TlsCase):
    def tls_cluster(self, size, *next_hops):
        """Hubs that know one another by certificate alone: there is no secret."""
        cluster = self.cluster(size, *next_hops, start=False)
        for hub in cluster.hubs:
            hub.certify(self.authority.issue(f"{hub.name}.pem", f"URI:umbra://hub/{hub.name}"), self.authority)
        return cluster

    def test_hubs_protect_one_anothers_mail_over_mutual_tls(self):
        sink = self.sink()
        cluster = self.tls_cluster(3, sink.address).start()
        result = load.run_source(self.folder, cluster.addresses, "--sessions", 6, "--messages", 600)
        self.assertEqual(result["acknowledged"], 600)
        cluster.wait_empty(30)
        self.assertGreaterEqual(sum(hub.metric("umbra_shadows_made_total") for hub in cluster.hubs), 600)
        for hub in cluster.hubs:
            self.assertEqual(hub.metric("umbra_hub_protocol_errors_total"), 0)
        # Nothing of it in the clear: whoever listens on the cluster's port hears no greeting.
        with socket.create_connection(("127.0.0.1", cluster.hubs[0].cluster_port), timeout=10) as stranger:
            stranger.settimeout(1)
            with self.assertRaises(TimeoutError):
                stranger.recv(100)
        # New certificates under way: the sessions stay, and mail goes on.
        for hub in cluster.hubs:
            self.authority.issue(f"{hub.name}.pem", f"DNS:{hub.name}")
            self.assertIn("loaded", hub.umbra("reload").stdout)
        self.authority.issue("hub-1.pem", "URI:umbra://hub/hub-2")
        refused = cluster.hubs[0].umbra("reload", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("does not name this hub", refused.stdout)
        cluster.hubs[1].kill()
        cluster.hubs[1].start()
        cluster.wait_joined()
        result = load.run_source(self.folder, cluster.addresses, "--sessions", 6, "--messages", 300, name="again")
        self.assertEqual(result["acknowledged"], 300)
        cluster.wait_empty(30)
        sink.stop()
        ledger = load.ledger([self.folder / "source.ledger", self.folder / "again.ledger"], [sink.ledger])
        self.assert_nothing_lost(ledger, duplicates=0)

    def test_a_hub_without_the_right_certificate_is_nobody(self):
        cluster = self.tls_cluster(3, "127.0.0.1:9").start()
        one, three = cluster.hubs[0], cluster.hubs[2]
        other = Authority(self.folder / "other")

        def state_of_three():
            return next(peer for peer in one.status()["peers"] if peer["hub"] == "hub-3")

        good = self.authority.issue("good.pem", "DNS:hub-3")
        cases = [(self.authority.issue("late.pem", "DNS:hub-3", expired=True), self.authority, "expired"),
                 (other.issue("hub-3.pem", "DNS:hub-3"), other, "self-signed certificate")]
        for pem, authority, why in cases:
            three.stop()
            three.certify(pem, authority)
            three.start(wait=False)
            wait_until(lambda: state_of_three()["state"] != "alive" and why in str(state_of_three().get("trouble")), 20,
                       lambda: f"hub-3 is refused ({why}): {state_of_three()}")
            self.assertNotIn("alive", [peer["state"] for peer in three.status()["peers"]])
            self.assertGreater(one.metric("umbra_hub_protocol_errors_total"), 0)
            self.assertTrue(one.ready())
        three.stop()
        # With another hub's certificate it does not even start.
        three.certify(self.authority.issue("two.pem", "DNS:hub-2"), self.authority)
        three.start(wait=False)
        wait_until(lambda: not three.process.alive(), 10, "hub-3 ends")
        self.assertIn("does not name this hub", three.process.said())
        three.certify(good, self.authority)
        three.start()
        cluster.wait_joined()


if __name__ == "__main__":
    unittest.main()
