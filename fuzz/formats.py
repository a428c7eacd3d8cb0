"""Inputs of binary formats: frames of WebSocket, the PROXY protocol, the journal and recent requests.

Checksums are left out; the targets put them right."""

import struct


def frame(opcode, length, masked):
    mask = 0x80 if masked else 0
    if length < 126:
        head = bytes([opcode, mask | length])
    elif length < 65536:
        head = bytes([opcode, mask | 126]) + struct.pack(">H", length)
    else:
        head = bytes([opcode, mask | 127]) + struct.pack(">Q", length)
    return head + bytes(4 if masked else 0) + bytes(min(length, 300))


V2 = b"\r\n\r\n\0\r\nQUIT\n"


def proxied():
    for line in [
        "TCP4 192.0.2.7 198.51.100.1 56324 443",
        "TCP6 2001:db8::7 ::1 0 443",
        "UNKNOWN",
        "UNKNOWN x",
        "TCP4 1 2 3 4",
    ]:
        yield f"PROXY {line}\r\nGET / HTTP/1.1\r\n".encode()
    addresses = bytes([192, 0, 2, 7, 198, 51, 100, 1, 1, 2, 1, 187])
    for command, family, rest in [
        (0x21, 0x11, addresses),
        (0x21, 0x21, bytes(36)),
        (0x20, 0, b""),
        (0x21, 0x31, bytes(216)),
        (0x21, 0x11, addresses + bytes([0xEA, 0, 3, 1, 2, 3])),
    ]:
        yield V2 + bytes([command, family]) + struct.pack(">H", len(rest)) + rest + b"GET"


def text(value):
    return struct.pack("<I", len(value)) + value.encode()


def definition(draw=False):
    out = (
        bytes([2 if draw else 1])
        + text("acme")
        + b"\x01"
        + text("app")
        + text("key_1")
        + text("pro")
        + text("route")
    )
    out += (
        struct.pack("<I", 2)
        + text("")
        + text("month")
        + struct.pack("<qBq", 1_790_000_000_000, 1, 1_792_000_000_000)
    )
    out += text("key/key_1") + text("all") + struct.pack("<qB", 1_790_000_000_000, 0)
    if draw:
        out += (
            b"USD"
            + struct.pack("<I", 2)
            + text("grant")
            + b"\x01"
            + struct.pack("<q", 2_000_000)
            + text("")
            + b"\0"
        )
    return out


def record(
    kind,
    sequence,
    ending=0,
    blocks=0,
    reference=0,
    time=1_790_000_000_000,
    number=0,
    extra=0,
    units=0,
    id=bytes(16),
):
    return (
        struct.pack("<IBBHQQqIIQ", 0, kind, ending, blocks, sequence, reference, time, number, extra, units) + id
    )


NODE = (7).to_bytes(16, "big")
MAGIC = int.from_bytes(b"faregate", "little")


def head_record(sequence, segment, room=0):
    return record(1, sequence, ending=room, reference=segment, number=1, extra=1, units=MAGIC, id=NODE)


def defined(sequence, number, payload):
    blocks = -(-len(payload) // 64)
    return record(2, sequence, blocks=blocks, number=number) + payload.ljust(blocks * 64, b"\0")


def segments():
    begin = head_record(1, 2) + defined(2, 1, definition())
    taken = record(3, 3, number=1, units=1, reference=5, id=bytes(range(16)))
    settled = record(4, 4, ending=6, reference=3, units=1)
    changed = record(5, 5, ending=5, reference=3, number=1, extra=20)
    synced = record(6, 6, reference=4, units=len(begin) + 128)
    drawn = defined(7, 2, definition(True)) + record(3, 8, number=2, units=2, reference=9)
    older = head_record(1, 1) + defined(2, 1, definition()) + record(3, 3, number=1, units=1)
    blocks = len(older) // 64
    kept = head_record(10, 2) + record(7, 11, blocks=blocks, reference=1, units=0) + older
    later = record(3, 4, number=1, units=1)
    beyond = head_record(10, 2) + record(7, 11, blocks=1, reference=1, units=1 << 40) + later
    for mode in (0, 1):
        for body in [
            begin,
            begin + taken + settled,
            begin + taken + changed + synced,
            begin + drawn,
            kept,
            beyond,
            head_record(10, 2) + record(7, 11, blocks=1, reference=1, units=(1 << 64) - 64) + later,
            begin + taken[:40],
            head_record(1, 2, room=1) + bytes(256),
            b"",
            head_record(1, 3),
        ]:
            yield bytes([mode, 3, 9]) + body


def number(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def short(value):
    return number(len(value)) + value.encode()


def signed(value):
    return number((value << 1 ^ value >> 63) & (1 << 64) - 1)


def caller():
    out = short("acme") + short("app") + short("key_1") + short("pro") + short("active")
    out += (
        number(1)
        + short("")
        + short("month")
        + number(1000)
        + short("month")
        + b"\1"
        + signed(1_000_000)
        + short("USD")
        + b"\1"
        + signed(5)
    )
    out += number(1) + short("") + number(10) + number(1_000_000_000) + number(20)
    return out + number(1) + short("") + number(5)


def standing():
    out = (
        number(1)
        + number(1)
        + number(1)
        + number(10)
        + number(1)
        + signed(1_790_000_000_000_000)
        + number(86_400_000_000)
    )
    return out + number(1) + number(9) + number(0) + number(1) + number(1)


def requests():
    at = (1_790_000_000_000).to_bytes(6, "big")
    id = at + bytes([0x70, 1, 0x80, 2, 3, 4, 5, 6, 7, 8])
    base = (
        id + number(5) + bytes([1, 6]) + struct.pack("<H", 200) + number(1) + number(2) + number(1) + number(900)
    )
    money = signed(2_000_000) + short("USD") + b"\1" + signed(10) + signed(5)
    for credit in (b"\0", b"\1" + signed(2_000_000) + short("USD")):
        for parts in [
            b"",
            b"".join(bytes([part]) + standing() for part in (2, 3)),
            b"\4" + standing() + money,
            b"\1" + short("trial_expired"),
        ]:
            request = base + credit + short("quota_exceeded") + short("") + parts
            yield struct.pack("<H", len(caller())) + caller() + request
    route = short("forecast") + b"\1" + b"\1" + signed(2_000_000) + short("USD") + number(1) + short("read")
    yield struct.pack("<H", len(route)) + route + base
