import asyncio

import nats
import pytest
from nats.js.api import StreamConfig

from embedded.nats import Nats

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Nats(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.remove()


class Client:
    """A connection of one account that collects what the server refuses."""

    def __init__(self, server: Nats, user: str) -> None:
        self.server = server
        self.user = user
        self.refused: asyncio.Queue[str] = asyncio.Queue()

    async def __aenter__(self):
        async def note(error):
            self.refused.put_nowait(str(error))

        self.nc = await nats.connect(
            self.server.url,
            user=self.user,
            password=self.server.passwords[self.user],
            inbox_prefix=f"_INBOX.{self.user}".encode(),
            error_cb=note,
        )
        self.js = self.nc.jetstream(timeout=2)
        return self

    async def __aexit__(self, *_):
        await self.nc.close()

    async def refusal(self) -> str:
        return await asyncio.wait_for(self.refused.get(), 5)


@pytest.fixture
async def streams(server):
    async with Client(server, "cli") as cli:
        await cli.js.add_stream(StreamConfig(name="SIGNALS", subjects=["evt.signal.*"]))
        await cli.js.add_stream(StreamConfig(name="CONSENT", subjects=["evt.consent.*"]))
        await cli.js.add_stream(StreamConfig(name="DECISIONS", subjects=["evt.decision.*"]))
        yield cli


async def test_nobody_connects_without_a_password(server):
    with pytest.raises(nats.errors.Error):
        await nats.connect(server.url, allow_reconnect=False, max_reconnect_attempts=0)


async def test_ranking_cannot_listen_to_signals(server):
    async with Client(server, "ranking") as ranking:
        await ranking.nc.subscribe("evt.signal.*")

        assert "evt.signal" in (await ranking.refusal()).lower()


async def test_ranking_cannot_consume_the_stream_of_signals(server, streams):
    async with Client(server, "ranking") as ranking:
        with pytest.raises((nats.errors.Error, TimeoutError)):
            await ranking.js.pull_subscribe("evt.signal.*", durable="ranking", stream="SIGNALS")

        assert "permissions violation" in (await ranking.refusal()).lower()


async def test_ranking_cannot_publish_consent(server, streams):
    async with Client(server, "ranking") as ranking:
        await ranking.nc.publish("evt.consent.00", b"forged")
        assert "evt.consent" in (await ranking.refusal()).lower()
        info = await streams.js.stream_info("CONSENT")

        assert info.state.messages == 0


async def test_ranking_cannot_read_the_replies_of_others(server):
    async with Client(server, "ranking") as ranking:
        await ranking.nc.subscribe("_INBOX.profile.>")

        assert "_inbox.profile" in (await ranking.refusal()).lower()


async def test_a_service_cannot_create_streams(server):
    async with Client(server, "ranking") as ranking:
        with pytest.raises((nats.errors.Error, TimeoutError)):
            await ranking.js.add_stream(StreamConfig(name="MINE", subjects=["mine"]))


async def test_a_reader_consumes_and_acknowledges_its_stream(server, streams):
    async with Client(server, "orchestration") as orchestration, Client(server, "ranking") as ranking:
        await orchestration.js.publish("evt.decision.07", b"decided")
        pull = await ranking.js.pull_subscribe("evt.decision.*", durable="ranking", stream="DECISIONS")
        [message] = await pull.fetch(1, timeout=5)
        await message.ack_sync(timeout=5)

        assert message.data == b"decided"


async def test_a_reader_may_use_an_ordered_consumer(server, streams):
    async with Client(server, "orchestration") as orchestration, Client(server, "ranking") as ranking:
        await orchestration.js.publish("evt.decision.09", b"ordered")
        subscription = await ranking.js.subscribe("evt.decision.09", stream="DECISIONS", ordered_consumer=True)
        message = await subscription.next_msg(timeout=5)

        assert message.data == b"ordered"


async def test_a_call_to_a_sibling_is_answered(server):
    async def answer(message):
        await message.respond(b"yes")

    async with Client(server, "consent") as consent, Client(server, "orchestration") as orchestration:
        await consent.nc.subscribe("rpc.assent.consent.v1.ConsentService.Check", "consent", answer)
        await consent.nc.flush()
        reply = await orchestration.nc.request("rpc.assent.consent.v1.ConsentService.Check", b"?", timeout=5)

        assert reply.data == b"yes"


async def test_facts_survive_a_crash_of_the_server(server, streams):
    async with Client(server, "consent") as consent:
        await consent.js.publish("evt.consent.01", b"kept")
        server.kill()
        server.restart()
    async with Client(server, "cli") as cli:
        kept = await cli.js.get_last_msg("CONSENT", "evt.consent.01")

        assert kept.data == b"kept"
