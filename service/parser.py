"""A parser of requests that never hands a connection over to another protocol.

At a request that would upgrade the connection, or make a tunnel of it, llhttp stops: what follows is the other
protocol's. Nobody here speaks one, so what follows is that request's own body, and then the next request. Were it
parsed as if nothing had been, a body would be taken for a request.
"""

from typing import Any

import httptools

FRAMING = {b"content-length", b"transfer-encoding"}
"""The headers that say where a body ends."""


def made(told: Any) -> httptools.HttpRequestParser:
    """llhttp's own, which tells `told` what it finds; what comes after a last request is passed over."""
    parser = httptools.HttpRequestParser(told)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


class Parser:
    """As httptools' parser, for a protocol that keeps the `headers` of the request that it is at."""

    def __init__(self, protocol: Any):
        self.protocol, self.parser = protocol, made(protocol)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.parser, name)

    def feed_data(self, data: bytes) -> None:
        """Raises HttpParserError for what is no HTTP."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            self.parser = made(Rest(self.protocol))
            self.parser.feed_data(framed(self.protocol.headers))
            self.feed_data(data[stopped.args[0] :])


class Rest:
    """Passes on what a parser finds behind a head that was told before."""

    def __init__(self, protocol: Any):
        self.protocol, self.told = protocol, False

    def on_message_begin(self) -> None:
        if self.told:
            self.protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self.told:
            self.protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.told:
            self.protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.told:
            self.protocol.on_headers_complete()
        self.told = True

    def on_body(self, body: bytes) -> None:
        self.protocol.on_body(body)

    def on_message_complete(self) -> None:
        self.protocol.on_message_complete()


def framed(headers: list[tuple[bytes, bytes]]) -> bytes:
    """A head that says of a body what those headers do, and nothing else."""
    lines = [b"%s: %s\r\n" % (name, value) for name, value in headers if name.lower() in FRAMING]
    return b"POST / HTTP/1.1\r\n%s\r\n" % b"".join(lines)
