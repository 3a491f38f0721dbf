"""The server's side of XSHADOW (docs/xshadow.md) in Python: a second implementation that real hubs connect to, of any version
the test wants it to speak. Keeps nothing; answers beats, and 502 to everything it was not told to answer."""
import hashlib
import hmac
import secrets
import socket
import threading


class HubServer:
    """Listens at once. `chooses`: answers a higher offer with its own version; else with 504, as a hub would that knows no choice."""

    def __init__(self, port, name, secret, *, host="127.0.0.1", spool="00000000000000b2", epoch=1, sequence=1, lowest=1, highest=1, chooses=True,
                 keywords=(), lease=2000):
        self.name, self.secret = name, secret
        self.identity = [name, spool, str(epoch), str(sequence)]
        self.lowest, self.highest, self.chooses, self.keywords, self.lease = lowest, highest, chooses, keywords, lease
        self.commands = []   # every verb after the opening
        self.offered = []    # the version in each XHUB
        self.opened = []     # (offered, used) of each session that was proved by both sides
        self.answers = {}    # verb -> function(words, octets) giving a reply line
        self._closed = False
        self._listener = socket.create_server((host, port), backlog=20)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self._closed = True
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()

    def _accept(self):
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection, connection.makefile("rb") as lines:
                self._talk(connection, lines)
        except (OSError, ValueError, IndexError):
            pass

    def _talk(self, connection, lines):
        def say(text):
            connection.sendall(text.encode() + b"\r\n")

        def proof(role, first_line):
            text = "\n".join([first_line, role, *client, *own])
            return hmac.new(self.secret, text.encode(), hashlib.sha256).hexdigest()

        say(f"220 {self.name}.example ESMTP")
        client, own, first_line, used = [], [], "", 0
        for line in lines:
            words = line.decode().rstrip("\r\n").split(" ")
            verb = words[0].upper()
            if verb == "XHUB":
                offered = int(words[1])
                self.offered.append(offered)
                used = min(offered, self.highest)
                if used < self.lowest or (offered > self.highest and not self.chooses):
                    say(f"504 5.5.4 Versions {self.lowest} to {self.highest} are spoken here")
                    return
                client, own = words[2:7], [*self.identity, secrets.token_hex(32)]
                first_line = f"umbra xshadow {used}" + (f" of {offered}" if used != offered else "")
                say(" ".join(["334", *own, proof("server", first_line)] + ([str(used)] if used != offered else [])))
            elif verb == "XPROOF":
                if words[1] != proof("client", first_line):
                    say("535 5.7.8 Authentication failed")
                    return
                self.opened.append((offered, used))
                say("235 2.7.0 Welcome")
            elif verb == "EHLO":
                for keyword in (f"{self.name}.example", "PIPELINING", *self.keywords):
                    say("250-" + keyword)
                say(f"250 XSHADOW {used}")
            elif verb == "QUIT":
                say("221 2.0.0 Bye")
                return
            else:
                octets = b""
                if verb in ("XDONE", "XASK", "XSEEN", "XCONFIG"):
                    octets = lines.read(int(words[1]))
                elif verb == "XCOPY":
                    octets = lines.read(int(words[3]) + (int(words[4]) if words[5] == "INLINE" else 0))
                elif verb == "XCHUNK":
                    octets = lines.read(int(words[2]))
                self.commands.append(verb)
                if verb in self.answers:
                    say(self.answers[verb](words, octets))
                elif verb == "XBEAT":
                    say(f"250 2.0.0 lease {self.lease}")
                elif verb == "XCOPY":
                    say(f"250 2.6.0 {words[1]} held")
                elif verb in ("XDONE", "XFORGET", "NOOP"):
                    say("250 2.0.0 Ok")
                else:
                    say("502 5.5.1 Not implemented")
