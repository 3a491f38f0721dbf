"""Connections that are somebody else's: by a real HAProxy (PROXY protocol, both versions) and by swaks (XCLIENT, and PROXY by its own hand)."""
import json
import shutil
import ssl
import subprocess
import time

from lab.case import LabCase
from lab.certificates import Authority
from lab.haproxy import HAPROXY, HaProxy
from lab.process import wait_until
from lab.talk import Talk


class Proxies(LabCase):
    """A hub that trusts a proxy at 127.0.0.5; of its clients those from 127.0.1.0/24 are served by a listener of their own, and may relay."""

    def proxied(self, trust="proxy_protocol", **more):
        capture = self.capture()
        hub = self.hub(capture.address, start=False, networks=(), listener={trust: ["127.0.0.5"]}, **more)
        write = hub.write_config

        def write_all():
            write()
            config = json.loads(hub.config.read_text())
            config["listeners"].append({"name": "inner", "address": hub.address, "clients": ["127.0.1.0/24", "192.0.2.0/24", "2001:db8::/32"],
                                        "networks": ["127.0.1.0/24", "192.0.2.0/24", "2001:db8::/32"], "host_name": "inner.example", "shadow": "none", "tarpit": "0s"})
            hub.config.write_text(json.dumps(config, indent=2) + "\n")
        hub.write_config = write_all
        return hub.start(), capture

    def test_behind_haproxy_the_clients_are_who_they_are(self):
        if not HAPROXY:
            self.skipTest("HAProxy is not installed")
        hub, capture = self.proxied()
        words = ("send-proxy", "send-proxy-v2", "send-proxy-v2-ssl")
        haproxy = HaProxy(self.folder / "haproxy", hub.address, words, source="127.0.0.5").start()
        self.addCleanup(haproxy.stop)
        for word in words:
            with Talk(haproxy.address(word), client="127.0.1.7") as inner, Talk(haproxy.address(word), client="127.0.0.9") as stranger:
                self.assertEqual(inner.greeting, (220, "inner.example ESMTP Umbra"), word)
                self.assertEqual(stranger.greeting[1].split()[0], "hub-1.example", word)
                inner.say("EHLO inner.example")
                stranger.say("EHLO stranger.example")
                self.assertEqual(stranger.send_mail()[0], 550, word)
                self.assertEqual(inner.send_mail(data=f"Subject: {word}\r\n\r\n" + "x" * 70 + "\r\n")[0], 250, word)
        messages = capture.wait_for(len(words))
        for message in messages:
            self.assertIn(b"([127.0.1.7])", message.octets)
            self.assertNotIn(b"127.0.0.5", message.octets)
        self.assertEqual({event["client"] for event in hub.events("accepted")}, {"127.0.1.7"})
        # Health checks are connections of HAProxy's own (LOCAL, UNKNOWN): they are greeted, and nothing is wrong with them.
        before = hub.metric("umbra_connections_total")
        wait_until(lambda: hub.metric("umbra_connections_total") > before + 5, 10, "health checks")
        self.assertEqual(hub.metric("umbra_proxy_headers_refused_total"), 0)

    def test_a_header_is_believed_of_the_proxy_alone_and_only_a_good_one(self):
        hub, _ = self.proxied()
        with Talk(hub.address, client="127.0.0.6") as liar:
            self.assertEqual(liar.greeting[0], 220)
            self.assertEqual(liar.say("PROXY TCP4 192.0.2.7 127.0.0.1 1 25")[0], 500)
            liar.say("EHLO liar.example")
            self.assertEqual(liar.send_mail()[0], 550)
        for bad in (b"EHLO a\r\n", b"PROXY TCP4 192.0.2.7 127.0.0.1 1 65536\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0b" + b"x" * 11, b"x" * 4096):
            with Talk(hub.address, client="127.0.0.5", greeting=False) as talk:
                talk.send(bad)
                self.assertEqual(talk.until_closed(), [], bad)
        started = time.monotonic()
        silent = [Talk(hub.address, client="127.0.0.5", greeting=False, timeout=15) for _ in range(20)]
        with Talk(hub.address, client="127.0.1.7") as other:
            self.assertEqual(other.greeting[0], 220, "those who come straight do not wait")
        for talk in silent:
            self.assertEqual(talk.until_closed(), [])
            talk.close()
        self.assertLess(time.monotonic() - started, 12)
        self.assertEqual(hub.metric("umbra_proxy_headers_refused_total"), 24)
        # Octet by octet, and with commands right behind.
        with Talk(hub.address, client="127.0.0.5", greeting=False) as talk:
            for octet in b"PROXY TCP6 2001:db8::7 ::1 1 25\r\nEHLO a\r\n":
                talk.send(bytes([octet]))
            self.assertEqual(talk.reply(), (220, "inner.example ESMTP Umbra"))
            self.assertEqual(talk.reply()[0], 250)
            self.assertEqual(talk.send_mail()[0], 250)

    def test_a_hub_that_stops_does_not_wait_for_a_silent_proxy_for_long(self):
        hub, _ = self.proxied()
        with Talk(hub.address, client="127.0.0.5", greeting=False), Talk(hub.address, client="127.0.0.5", greeting=False) as half:
            half.send("PROXY TCP4 ")
            started = time.monotonic()
            self.assertEqual(hub.stop(), 0)
            self.assertLess(time.monotonic() - started, 10)

    def test_xclient_by_swaks(self):
        if not shutil.which("swaks"):
            self.skipTest("swaks is not installed")
        hub, capture = self.proxied("xclient")

        def swaks(interface, *words):
            return subprocess.run(["swaks", "--server", hub.address, "--local-interface", interface, "--from", "a@source.example", "--to", "b@sink.example", "--body", "by swaks",
                                   *words], capture_output=True, text=True, timeout=60)
        believed = swaks("127.0.0.5", "--xclient-addr", "192.0.2.7", "--xclient-name", "app.example", "--xclient-helo", "app.example", "--xclient-proto", "ESMTP",
                         "--xclient-port", "4711", "--xclient-destaddr", "127.0.0.1", "--xclient-destport", "25")
        self.assertEqual(believed.returncode, 0, believed.stdout + believed.stderr)
        self.assertIn("220 inner.example ESMTP Umbra", believed.stdout)
        twice = swaks("127.0.0.5", "--xclient-helo", "two.example", "--xclient-delim", "--xclient-addr", "IPV6:2001:db8::7", "--xclient-name", "[UNAVAILABLE]")
        self.assertEqual(twice.returncode, 0, twice.stdout + twice.stderr)
        logged_on = swaks("127.0.0.5", "--xclient-addr", "203.0.113.5", "--xclient-login", "somebody")
        self.assertEqual(logged_on.returncode, 0, logged_on.stdout + logged_on.stderr)
        stranger = swaks("127.0.0.5", "--xclient-addr", "203.0.113.5")
        self.assertIn("550 5.7.1 relaying denied for 203.0.113.5", stranger.stdout)
        with Talk(hub.address, client="127.0.0.6") as liar:
            self.assertNotIn("XCLIENT", liar.say("EHLO liar.example")[1])
            self.assertEqual(liar.say("XCLIENT ADDR=192.0.2.7")[0], 502)
        messages = capture.wait_for(3)
        received = sorted(next(line for line in m.octets.split(b"\r\n") if line.startswith(b"Received: ")) for m in messages)
        self.assertEqual(len(messages), 3)
        self.assertEqual(received[0], b"Received: from app.example ([192.0.2.7])")
        self.assertTrue(any(b"from two.example ([IPv6:2001:db8::7])" in line for line in received), received)

    def test_proxy_header_by_swaks(self):
        if not shutil.which("swaks"):
            self.skipTest("swaks is not installed")
        hub, capture = self.proxied()
        for version in ("1", "2"):
            done = subprocess.run(["swaks", "--server", hub.address, "--local-interface", "127.0.0.5", "--from", "a@source.example", "--to", "b@sink.example", "--proxy-version", version,
                                   "--proxy-family", "TCP4" if version == "1" else "AF_INET", *(["--proxy-protocol", "STREAM", "--proxy-command", "PROXY"] if version == "2" else []),
                                   "--proxy-source", "192.0.2.7", "--proxy-source-port", "4711", "--proxy-dest", "127.0.0.1", "--proxy-dest-port", "25"],
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for message in capture.wait_for(2):
            self.assertIn(b"([192.0.2.7])", message.octets)

    def test_throttling_counts_the_client_and_not_the_proxy(self):
        hub, _ = self.proxied(throttling=[{"name": "each", "message_rate_limit": 1}])
        codes = {}
        for client in ("192.0.2.7", "192.0.2.8"):
            with Talk(hub.address, client="127.0.0.5", greeting=False) as talk:
                talk.send(f"PROXY TCP4 {client} 127.0.0.1 1 25\r\n")
                self.assertEqual(talk.reply()[0], 220)
                talk.say("EHLO a")
                codes[client] = [talk.send_mail()[0] for _ in range(2)]
        self.assertEqual(codes, {"192.0.2.7": [250, 450], "192.0.2.8": [250, 450]})

    def test_tls_begins_behind_the_header_and_outlives_xclient(self):
        authority = Authority(self.folder / "tls")
        pem = authority.issue("hub.pem", "DNS:hub-1.example")
        context = ssl.create_default_context(cafile=str(authority.pem))
        hub, capture = self.proxied(tls={"mode": "implicit", "certificate": str(pem)})
        with Talk(hub.address, client="127.0.0.5", greeting=False) as talk:
            talk.send("PROXY TCP4 127.0.0.9 127.0.0.1 1 25\r\n")
            talk.socket = context.wrap_socket(talk.socket, server_hostname="hub-1.example")
            self.assertEqual(talk.reply(), (220, "hub-1.example ESMTP Umbra"))
        hub.stop()
        hub, capture = self.proxied("xclient", tls={"mode": "required", "certificate": str(pem)})
        with Talk(hub.address, client="127.0.0.5") as talk:
            talk.say("EHLO proxy.example")
            self.assertEqual(talk.say("STARTTLS")[0], 220)
            talk.socket = context.wrap_socket(talk.socket, server_hostname="hub-1.example")
            self.assertIn("XCLIENT", talk.say("EHLO proxy.example")[1])
            self.assertEqual(talk.say("XCLIENT ADDR=192.0.2.7"), (220, "inner.example ESMTP Umbra"))
            self.assertNotIn("STARTTLS", talk.say("EHLO app.example")[1])
            self.assertEqual(talk.send_mail()[0], 250)
            # And back to the listener that takes no mail without TLS: this one has it.
            self.assertEqual(talk.say("XCLIENT ADDR=127.0.0.9 LOGIN=somebody"), (220, "hub-1.example ESMTP Umbra"))
            talk.say("EHLO app.example")
            self.assertEqual(talk.send_mail()[0], 250)
        for message, protocol in zip(capture.wait_for(2), (b"ESMTPS", b"ESMTPSA"), strict=True):
            self.assertIn(b" with " + protocol + b" id ", message.octets, "who speaks for the second one says that it has logged on")
