"""Keys from an address: fetched once, looked for again when a key is new, and never more often than allowed."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from servicekit.auth import UrlKeys, public_jwk
from servicekit.errors import Unauthenticated, Unavailable


class KeyServer:
    """Answers any request with the keys it has, and counts."""

    def __init__(self) -> None:
        self.kids = ["first"]
        self.requests = 0
        self.status = "200 OK"
        self._key = Ed25519PrivateKey.generate().public_key()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        body = json.dumps({"keys": [public_jwk(self._key, kid) for kid in self.kids]})
        writer.write(f"HTTP/1.0 {self.status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        writer.close()


@asynccontextmanager
async def listening(server: KeyServer):
    opened = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    async with opened:
        yield f"http://127.0.0.1:{opened.sockets[0].getsockname()[1]}/keys"


async def test_keys_are_fetched_once():
    server = KeyServer()
    async with listening(server) as url:
        keys = UrlKeys(url)
        found = await asyncio.gather(*(keys.key("first") for _ in range(10)))

    assert ({key.key_id for key in found}, server.requests) == ({"first"}, 1)


async def test_a_new_key_is_found_at_its_first_use():
    server = KeyServer()
    async with listening(server) as url:
        keys = UrlKeys(url)
        await keys.key("first")
        server.kids.append("second")

        assert (await keys.key("second")).key_id == "second"


async def test_a_flood_of_unknown_keys_does_not_reach_the_address():
    server = KeyServer()
    async with listening(server) as url:
        keys = UrlKeys(url)
        for number in range(20):
            with pytest.raises(Unauthenticated):
                await keys.key(f"unknown {number}")

    assert server.requests == 2


async def test_an_address_that_does_not_answer_is_unavailable():
    server = KeyServer()
    server.status = "503 Service Unavailable"
    async with listening(server) as url:
        with pytest.raises(Unavailable) as caught:
            await UrlKeys(url).key("first")

    assert caught.value.code == "KEYS_UNAVAILABLE"
