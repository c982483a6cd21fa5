"""Keys to the API: who may ask, and how often."""

import hashlib
import hmac
import math
import re
from collections.abc import Iterable

from aiolimiter import AsyncLimiter
from starlette.datastructures import Headers

from service import errors, telemetry
from service.guards import HEALTH, HOME, STATIC, ASGIApp, Guard, Receive, Scope, Send
from service.settings import Settings

ENTRY = re.compile(r"(?:([A-Za-z0-9._-]{1,64}):)?([A-Za-z0-9._~+/-]{16,512}=*)")
"""A key as RFC 6750 lets it be, long enough not to be guessed, behind a name for it."""

MINUTE = 60.0


class Keys:
    """The keys that may ask, by their digests; the keys themselves are not held."""

    def __init__(self, entries: Iterable[str] = ()):
        """`entries`: `key` or `name:key`. Raises ValueError, which doesn't repeat it, for one that is no such thing."""
        self.names: dict[bytes, str] = {}
        for number, entry in enumerate(entries, 1):
            found = ENTRY.fullmatch(entry)
            if not found:
                raise ValueError(f"API key {number} must have 16 characters at least, of A-Z a-z 0-9 - . _ ~ + /")
            self.names[digest(found[2])] = found[1] or f"key-{number}"

    @classmethod
    def of(cls, settings: Settings) -> "Keys":
        """Those that are set. Raises ValueError, or OSError for a file that can't be read."""
        said, file = settings.api_keys.get_secret_value(), settings.api_keys_file
        lines = [line.strip() for line in file.read_text().splitlines()] if file else []
        keys = cls([*said.replace(",", " ").split(), *(line for line in lines if line and not line.startswith("#"))])
        if (said or file) and not keys:
            raise ValueError("API keys were to be asked for, and there is none")
        return keys

    def __bool__(self) -> bool:
        return bool(self.names)

    def name_of(self, key: str) -> str | None:
        """What a key is called; None for one that isn't ours. Takes as long for any."""
        given = digest(key)
        return next(iter([name for kept, name in self.names.items() if hmac.compare_digest(kept, given)]), None)


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


class Doorkeeper(Guard):
    """Lets in who shows a key, and no key more often than so many times a minute; 0 for any number.

    Open to all are the service's health, its page and the files that pages are made of.
    """

    def __init__(self, app: ASGIApp, keys: Keys, rate: int):
        super().__init__(app)
        self.keys = keys
        self.retry_after = math.ceil(MINUTE / rate) if rate else 0
        self.rates = {name: AsyncLimiter(rate, MINUTE) for name in keys.names.values()} if rate else {}

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_open(scope["path"]):
            await self.app(scope, receive, send)
            return
        name = self.keys.name_of(bearer(Headers(scope=scope).get("authorization", "")))
        if name is None:
            await errors.told(errors.unauthorized(), scope["request_id"])(scope, receive, send)
            return
        telemetry.note(key=name)
        if name in self.rates:
            if not self.rates[name].has_capacity():
                problem = errors.too_many_requests(self.retry_after)
                await errors.told(problem, scope["request_id"])(scope, receive, send)
                return
            await self.rates[name].acquire()
        await self.app(scope, receive, send)


def is_open(path: str) -> bool:
    """Whether no key is asked for."""
    return path in HEALTH or path == HOME or path.startswith(STATIC)


def bearer(header: str) -> str:
    """The key in an Authorization header."""
    scheme, _, key = header.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
