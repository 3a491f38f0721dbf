"""An SMTP client that says exactly the octets it is told to."""
import socket


class Closed(Exception):
    """The server closed the connection."""


class Talk:
    def __init__(self, address, timeout=10, greeting=True, client=None):
        """`client`: the address that it comes from, where that matters."""
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout, source_address=(client, 0) if client else None)
        self._in = b""
        if greeting:
            self.greeting = self.reply()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, octets):
        self.socket.sendall(octets if isinstance(octets, bytes) else octets.encode())

    def reply(self):
        """The next reply: (code, text of all its lines)."""
        texts = []
        while True:
            while b"\n" not in self._in:
                try:
                    more = self.socket.recv(65536)
                except ConnectionError as error:
                    raise Closed(str(error)) from error
                if not more:
                    raise Closed("closed by the server")
                self._in += more
            line, _, self._in = self._in.partition(b"\n")
            line = line.rstrip(b"\r").decode("utf-8", "replace")
            texts.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), "\n".join(texts)

    def say(self, line):
        """Sends a line with its CRLF and returns the reply."""
        self.send(line + "\r\n" if isinstance(line, str) else line + b"\r\n")
        return self.reply()

    def until_closed(self):
        """All replies until the server closes."""
        replies = []
        try:
            while True:
                replies.append(self.reply())
        except Closed:
            return replies

    def send_mail(self, sender="a@source.example", recipients=("b@sink.example",), data="Subject: test\r\n\r\nhello\r\n", mail="",
                  rcpt=""):
        """A whole transaction in a session that has said EHLO; returns the reply to the final dot, or the first that is bad."""
        code, text = self.say(f"MAIL FROM:<{sender}>{' ' + mail if mail else ''}")
        if code != 250:
            return code, text
        for recipient in recipients:
            code, text = self.say(f"RCPT TO:<{recipient}>{' ' + rcpt if rcpt else ''}")
            if code != 250:
                return code, text
        code, text = self.say("DATA")
        if code != 354:
            return code, text
        self.send(data)
        return self.say(".")


def session(address, **options):
    """A Talk that has said EHLO."""
    talk = Talk(address, **options)
    talk.say("EHLO test.example")
    return talk
