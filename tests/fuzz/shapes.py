"""Malformed HTTP requests. Most carry a genuine delivery: a server that reads them in any way would accept it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from tests.fuzz.mutations import spoil
from tests.fuzz.originals import Delivery


@dataclass(frozen=True)
class Shape:
    """What goes over one connection."""

    name: str
    data: bytes
    may_succeed: bool = False  # a strict reader may answer 2xx


Maker = Callable[[Random, Delivery], Shape]
EOL = b"\r\n"
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
NO_TOKENS = (b"\0", b"\r", b"\n", b" ", b"\t", b"\x7f", b"\x80", b"\xff", b":", b"(", b'"', b"\x0b")


def fields(delivery: Delivery) -> list[bytes]:
    return [b"Host: x", *(b"%b: %b" % pair for pair in delivery.headers)]


def post(
    delivery: Delivery, *framing: bytes, body: bytes | None = None, line: bytes = b""
) -> bytes:
    """A delivery with these header lines for its framing."""
    request_line = line or b"POST %b HTTP/1.1" % delivery.path.encode()
    head = EOL.join([request_line, *fields(delivery), *framing])
    return head + EOL * 2 + (delivery.body if body is None else body)


def length_of(delivery: Delivery) -> bytes:
    return b"Content-Length: %d" % len(delivery.body)


def chunked(rng: Random, body: bytes) -> bytes:
    pieces, rest = [], body
    while rest:
        size = rng.randrange(1, len(rest) + 1)
        pieces.append(b"%x\r\n%b\r\n" % (size, rest[:size]))
        rest = rest[size:]
    return b"".join([*pieces, b"0\r\n\r\n"])


def both_lengths(rng: Random, delivery: Delivery) -> Shape:
    spellings = (
        b"Transfer-Encoding: chunked", b"transfer-encoding:chunked", b"TRANSFER-ENCODING:\tchunked ",
        b"Transfer-Encoding : chunked", b"Transfer-Encoding: xchunked", b"Transfer-Encoding: identity",
        b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding: chunked, identity", b" Transfer-Encoding: chunked",
        b"Transfer-Encoding: \x0bchunked", b"Transfer-Encoding:",
        b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked", b"Transfer-Encoding\0: chunked",
        b"X: y\nTransfer-Encoding: chunked", b'Transfer-Encoding: "chunked"', b"Transfer-Encoding: chunked;q=1",
    )  # fmt: skip
    lines = [
        rng.choice(spellings),
        rng.choice((length_of(delivery), b"Content-Length: 4", b"Content-Length: 0")),
    ]
    rng.shuffle(lines)
    body = rng.choice((chunked(rng, delivery.body), delivery.body, b"0\r\n\r\n" + GET))
    return Shape("both lengths", post(delivery, *lines, body=body))


def several_lengths(rng: Random, delivery: Delivery) -> Shape:
    right, size = length_of(delivery), len(delivery.body)
    others = (
        right,
        b"content-length: %d" % (size + 1),
        b"Content-Length: 0",
        b"Content-Length: %d" % (size - 1),
    )
    lines = [right, rng.choice(others)]
    rng.shuffle(lines)
    return Shape("several lengths", post(delivery, *lines))


def odd_length(rng: Random, delivery: Delivery) -> Shape:
    size = len(delivery.body)
    values = (
        f"+{size}", f"-{size}", f"{size}, {size}", f"{size},", f"{size};", f"{size} {size}", f"{size}_0", f"0x{size:x}",
        f"{size}.0", f"{size}e0", "", "\0", f"{size}\0", f"{2**64 + size}", f"{2**63}", "1" * 400, f"'{size}'", "NaN",
        f"{size}\r\n 1", f"{size}\n", f"\x0b{size}", "".join(chr(0x660 + int(digit)) for digit in str(size)),
    )  # fmt: skip
    name = rng.choice(
        (b"Content-Length:", b"content-length: ", b"Content-Length :", b"Content-Length\t:")
    )
    return Shape("odd length", post(delivery, name + rng.choice(values).encode()))


def odd_coding(rng: Random, delivery: Delivery) -> Shape:
    values = (
        b"gzip, chunked", b"chunked, chunked", b"identity", b"chunked, gzip", b"xchunked", b"chunked\0", b"deflate",
        b"", b"chunked\r\nTransfer-Encoding: chunked", b"chunked\r\nTransfer-Encoding: identity", b"chunked;a=b",
        b",chunked", b"chunke\xc4\x8f", b"\r\n chunked", b"trailers, chunked",
    )  # fmt: skip
    line = b"Transfer-Encoding: " + rng.choice(values)
    return Shape("odd coding", post(delivery, line, body=chunked(rng, delivery.body)))


def old_chunks(rng: Random, delivery: Delivery) -> Shape:
    line = b"POST %b HTTP/1.0" % delivery.path.encode()
    return Shape(
        "chunks in 1.0",
        post(delivery, b"Transfer-Encoding: chunked", body=chunked(rng, delivery.body), line=line),
    )


def odd_chunks(rng: Random, delivery: Delivery) -> Shape:
    body, size = delivery.body, len(delivery.body)
    whole, hexadecimal = chunked(rng, body), b"%x" % size
    bodies = (
        whole.replace(b"\r\n", b"\n"), whole.replace(b"\r\n", b"\r"), b"0x" + whole, b"-" + whole, b"+" + whole,
        b" " + whole, b"%x0000000000000000\r\n%b\r\n0\r\n\r\n" % (size, body),
        hexadecimal + b"\r\n" + body + b"0\r\n\r\n", hexadecimal + b"\r\n" + body + b"XX0\r\n\r\n",
        hexadecimal + b";\n" + body + b"\r\n0\r\n\r\n", hexadecimal + b"_\r\n" + body + b"\r\n0\r\n\r\n",
        b"%x\r\n%b\r\n0\r\n\r\n" % (size + 1, body), b"zz\r\n" + whole, b"%x\r\n%b\r\n0\r\n\r\n" % (size - 1, body),
        hexadecimal + b"\r\n" + body + b"\r\n", b"\r\n" + whole, body, b"f" * 40 + b"\r\n" + body,
    )  # fmt: skip
    return Shape(
        "odd chunks", post(delivery, b"Transfer-Encoding: chunked", body=rng.choice(bodies))
    )


def large_tail(rng: Random, delivery: Delivery) -> Shape:
    """Chunk extensions and trailers as long as a book: strange, and clear."""
    whole, filling = (
        chunked(rng, delivery.body),
        b"x" * rng.choice((1000, 40_000, 200_000, 900_000)),
    )
    body = rng.choice(
        (whole.replace(EOL, b";" + filling + EOL, 1), whole[:-2] + b"X: " + filling + EOL * 2)
    )
    return Shape(
        "large tail", post(delivery, b"Transfer-Encoding: chunked", body=body), may_succeed=True
    )


def odd_lines(rng: Random, delivery: Delivery) -> Shape:
    data = post(delivery, length_of(delivery))
    head, _, body = data.partition(EOL * 2)
    heads = (
        head.replace(EOL, b"\n"), head.replace(EOL, b"\r"), head.replace(EOL, b"\r\r\n"), head.replace(EOL, b"\n\r"),
        head.replace(b"Host: x", b"Host : x"), head.replace(b"Host: x", b" Host: x"),
        head.replace(b"Host: x", b"Host"), head.replace(b"Host: x", b": x"), head.replace(b"Host: x\r\n", b""),
        head + b"\r\nHost: y", head + b"\r\n folded", head + b"\r\nX\0Y: z", head + b"\r\nX: a\0b",
        head + b"\r\nX: a\rb", head + b"\r\nX Y: z", head + b"\r\n\tX: y", head.replace(b": ", b"; "),
        head + b"\r\nX\xff: y",
    )  # fmt: skip
    return Shape("odd lines", rng.choice(heads) + EOL * 2 + body)


def odd_version(rng: Random, delivery: Delivery) -> Shape:
    versions = (
        b"",
        b"HTTP/0.9",
        b"HTTP/2.0",
        b"HTTP/1.2",
        b"HTTP/3",
        b"http/1.1",
        b"HTTP/1.1x",
        b"HTTP/11.1",
        b"HTTP/1,1",
        b"HTTPS/1.1",
        b"ICE/1.0",
    )
    line = b"POST %b %b" % (delivery.path.encode(), rng.choice(versions))
    return Shape("odd version", post(delivery, length_of(delivery), line=line))


def odd_method(rng: Random, delivery: Delivery) -> Shape:
    methods = (
        b"",
        b"post",
        b"P\0ST",
        b"POST\t",
        b"CONNECT",
        b"PRI",
        b"TRACE",
        b"M-SEARCH",
        b"A" * 100_000,
        b"\xff",
        b"GET,POST",
        b"SOURCE",
        b"PURGE",
    )
    line = rng.choice(methods) + b" %b HTTP/1.1" % delivery.path.encode()
    return Shape("odd method", post(delivery, length_of(delivery), line=line))


def odd_target(rng: Random, delivery: Delivery) -> Shape:
    path = delivery.path.encode()
    targets = (
        b"", b"*", b"/" * 5000, b"http://", b"http://x", b"//x" + path, path + b"/", path + b"%00", path + b"\xff",
        path + b" x", b"/webhooks/../webhooks/gemini", path.upper(), b"/" + b"a" * 100_000, b"http://[::1" + path,
        b"/%", b"/%zz", b"/%ff%fe", path + b"/%2e%2e", b"x:99999", b"?a", b"#", path + b"\0", b"\\webhooks\\gemini",
        path + b"/..",
    )  # fmt: skip
    return Shape(
        "odd target",
        post(delivery, length_of(delivery), line=b"POST %b HTTP/1.1" % rng.choice(targets)),
    )


def large_head(rng: Random, delivery: Delivery) -> Shape:
    size = rng.choice((33_000, 64_000, 70_000, 200_000, 600_000))
    letters = b"a" * size
    lines = (
        b"X: " + letters,
        letters + b": x",
        EOL.join([b"X: y"] * (size // 4)),
        b"Cookie: " + letters,
    )
    return Shape("large head", post(delivery, rng.choice(lines), length_of(delivery)))


def upgrade(rng: Random, delivery: Delivery) -> Shape:
    protocol = rng.choice((b"h2c", b"websocket", b"TLS/1.0", b"x"))
    lines = [b"Connection: Upgrade", b"Upgrade: " + protocol, length_of(delivery)]
    return Shape("upgrade", post(delivery, *lines) + rng.choice((b"", GET)))


def truncated(rng: Random, delivery: Delivery) -> Shape:
    data = rng.choice((post(delivery, length_of(delivery)), _as_chunks(rng, delivery)))
    return Shape("truncated", data[: rng.randrange(len(data) - 1)])


def _as_chunks(rng: Random, delivery: Delivery) -> bytes:
    return post(delivery, b"Transfer-Encoding: chunked", body=chunked(rng, delivery.body))


def smuggled(rng: Random, delivery: Delivery) -> Shape:
    """A second request where a careless reader sees one, behind a first one that can't be accepted."""
    inner = post(delivery, length_of(delivery))
    door = b"POST /webhooks/gemini HTTP/1.1\r\nHost: x\r\n"
    outers = (
        door + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        door + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nContent-Length: 0\r\n\r\n" % len(inner),
        b"GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX: y\nContent-Length: %d\r\n\r\n" % len(inner),
        door + b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(inner),
    )  # fmt: skip
    return Shape("smuggled", rng.choice(outers) + inner)


def pipelined(rng: Random, delivery: Delivery) -> Shape:
    pieces: Sequence[bytes] = (
        GET,
        b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n",
        b"\0\0",
        b"GET",
        post(delivery, length_of(delivery)),
    )
    return Shape(
        "pipelined", GET + b"".join(rng.choices(pieces, k=rng.randrange(1, 30))), may_succeed=True
    )


def noise(rng: Random, _delivery: Delivery) -> Shape:
    starts = (
        b"",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n" * 50_000,
        b"POST ",
        b"\0" * 70_000,
    )
    return Shape("noise", rng.choice(starts) + rng.randbytes(rng.randrange(2000)))


def odd_tokens(rng: Random, delivery: Delivery) -> Shape:
    data = bytearray(post(delivery, length_of(delivery)))
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(data.index(EOL * 2))
        data[at:at] = rng.choice(NO_TOKENS)
    return Shape(
        "odd tokens", bytes(data), may_succeed=True
    )  # a space before a value, for one, means nothing


def spoilt(rng: Random, delivery: Delivery) -> Shape:
    whole = rng.choice(
        (
            post(delivery, length_of(delivery)),
            _as_chunks(rng, delivery),
            GET,
            GET.replace(b"health", b"ready"),
        )
    )
    return Shape("spoilt", spoil(rng, whole), may_succeed=True)


MAKERS: tuple[Maker, ...] = (
        both_lengths, both_lengths, several_lengths, odd_length, odd_coding, old_chunks, odd_chunks, odd_lines,
        odd_version, odd_method, odd_target, large_head, large_tail, upgrade, truncated, smuggled, pipelined, noise,
        odd_tokens, spoilt, spoilt,
    )  # fmt: skip
