"""A small SMTP server that keeps what it is given, for tests that look at single messages. Slow and obliging: for load use
umbra-load sink."""
import re
import socket
import threading
import time

from . import places
from .process import wait_until


class Message:
    """One message as it arrived: envelope with its parameters, and the octets with dots unstuffed."""

    def __init__(self, sender, sender_parameters, recipients, octets, extended, helo=""):
        self.sender = sender
        self.sender_parameters = sender_parameters
        self.recipients = recipients  # [(address, parameters)]
        self.octets = octets
        self.extended = extended
        self.helo = helo
        self.time = time.monotonic()

    @property
    def addresses(self):
        return [address for address, _ in self.recipients]

    @property
    def body(self):
        return self.octets.partition(b"\r\n\r\n")[2]


class Capture:
    """Listens at once. `rcpt_reply(address)` and `data_reply(message)` give a reply line, "close" to close without one, or
    None for the usual 250; they may be set anew at any time."""

    def __init__(self, extensions=("PIPELINING", "8BITMIME", "CHUNKING", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES", "SIZE 0"), port=None):
        self.port = port or places.free_port()
        self.extensions = extensions
        self.messages = []
        self.lines = []  # every command line, for tests of what was said
        self.connections = 0
        self.clients = set()  # the addresses that connected
        self.rcpt_reply = lambda address: None
        self.data_reply = lambda message: None
        self._lock = threading.Lock()
        self._open = set()
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def stop(self):
        self._closed = True
        # shutdown() wakes the thread that sits in accept().
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def wait_for(self, count, seconds=15):
        """Waits for `count` messages in all and returns them."""
        wait_until(lambda: len(self.messages) >= count, seconds, lambda: f"{count} messages captured, there are {len(self.messages)}")
        return self.messages

    def _accept(self):
        while not self._closed:
            try:
                connection, (client, _) = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self.clients.add(client)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with self._lock:
            self._open.add(connection)
        try:
            with connection, connection.makefile("rb") as lines:
                self._talk(connection, lines)
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(connection)

    def _talk(self, connection, lines):
        def say(text):
            connection.sendall(text.encode() + b"\r\n")

        sender, parameters, recipients, chunks, extended, helo = None, "", [], b"", False, ""
        say("220 capture.example ESMTP")
        while True:
            line = lines.readline()
            if not line:
                return
            text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            self.lines.append(text)
            verb = text[:4].upper()
            if verb in ("EHLO", "HELO"):
                helo = text[5:]
                extended = verb == "EHLO"
                sender, recipients = None, []
                words = ["capture.example", *(self.extensions if extended else ())]
                for i, word in enumerate(words):
                    say(("250 " if i + 1 == len(words) else "250-") + word)
            elif verb == "MAIL":
                found = re.match(r"MAIL FROM:<([^>]*)> ?(.*)", text, re.I)
                sender, parameters, recipients, chunks = found.group(1), found.group(2), [], b""
                say("250 2.1.0 Ok")
            elif verb == "RCPT":
                found = re.match(r"RCPT TO:<([^>]*)> ?(.*)", text, re.I)
                reply = self.rcpt_reply(found.group(1))
                if reply == "close":
                    return
                if not reply or reply.startswith("2"):
                    recipients.append((found.group(1), found.group(2)))
                say(reply or "250 2.1.5 Ok")
            elif verb in ("DATA", "BDAT"):
                if verb == "DATA":
                    if not recipients:
                        say("554 5.5.1 No valid recipients")
                        continue
                    say("354 Go on")
                    octets = self._dotted(lines)
                else:
                    words = text.split()
                    chunks += lines.read(int(words[1]))
                    if not recipients:
                        say("503 5.5.1 No valid recipients")
                        continue
                    if len(words) < 3:
                        say("250 2.0.0 Ok")
                        continue
                    octets = chunks
                message = Message(sender, parameters, recipients, octets, extended, helo)
                reply = self.data_reply(message)
                if reply == "close":
                    return
                if not reply or reply.startswith("2"):
                    self.messages.append(message)
                say(reply or "250 2.0.0 Ok")
                sender, recipients, chunks = None, [], b""
            elif verb == "QUIT":
                say("221 2.0.0 Bye")
                return
            elif verb in ("RSET", "NOOP"):
                sender, recipients, chunks = None, [], b""
                say("250 2.0.0 Ok")
            else:
                say("500 5.5.2 Unknown")

    @staticmethod
    def _dotted(lines):
        octets = []
        while True:
            line = lines.readline()
            if not line:
                raise OSError("closed inside data")
            if line == b".\r\n":
                return b"".join(octets)
            octets.append(line[1:] if line.startswith(b".") else line)
