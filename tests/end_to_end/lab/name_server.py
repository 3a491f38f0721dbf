"""A small authoritative name server over UDP for tests: A and SRV records that may change at any time, failures and silence."""
import socket
import struct
import threading

A, SRV = 1, 33
SERVFAIL, NXDOMAIN = 2, 3


class NameServer:
    """Listens at once. `addresses` {name: [IPv4, ...]}, `services` {name: [(port, target), ...]}; `mode` is "answers", "fails"
    (SERVFAIL), "empty" (the names exist without records) or "silent"."""

    def __init__(self, port, host="127.0.0.1"):
        self.addresses, self.services = {}, {}
        self.mode = "answers"
        self.questions = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self.address = f"{host}:{port}"
        self._closed = False
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self):
        self._closed = True
        self._socket.close()

    def _serve(self):
        while not self._closed:
            try:
                question, sender = self._socket.recvfrom(2048)
                answer = self._answer(question)
                if answer:
                    self._socket.sendto(answer, sender)
            except (OSError, IndexError, UnicodeDecodeError):
                continue

    def _answer(self, question):
        self.questions += 1
        if self.mode == "silent":
            return None
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode())
            at += question[at] + 1
        name, kind = ".".join(labels).lower(), struct.unpack(">H", question[at + 1:at + 3])[0]
        asked = question[12:at + 5]
        records, code = [], 0
        if self.mode == "fails":
            code = SERVFAIL
        elif name not in self.addresses and name not in self.services:
            code = NXDOMAIN
        elif self.mode == "answers" and kind == A:
            records = [socket.inet_aton(address) for address in self.addresses.get(name, ())]
        elif self.mode == "answers" and kind == SRV:
            records = [struct.pack(">HHH", 0, 0, port) + _wire(target) for port, target in self.services.get(name, ())]
        head = question[:2] + struct.pack(">HHHHH", 0x8580 | code, 1, len(records), 0, 0)
        return head + asked + b"".join(struct.pack(">HHHIH", 0xC00C, kind, 1, 5, len(data)) + data for data in records)


def _wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
