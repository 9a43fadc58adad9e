"""The fixtures as services use them."""

import asyncpg
import nats
import pytest

from assent.events.v1.envelope_pb2 import Envelope
from servicekit.auth import FileKeys, TokenVerifier
from servicekit.errors import AssentError
from servicekit.streams import subject
from testkit import platform as platforms
from testkit.builders import a_subject, an_event_id

pytestmark = pytest.mark.integration


async def test_two_databases_share_nothing(database):
    one, two = [await database("content", package="testkit") for _ in range(2)]
    connection = await asyncpg.connect(one.owner_dsn)
    await connection.execute("create table content.only_here (n int)")
    await connection.close()
    connection = await asyncpg.connect(two.owner_dsn)
    with pytest.raises(asyncpg.UndefinedTableError):
        await connection.execute("select * from content.only_here")
    await connection.close()


async def test_a_service_publishes_its_own_facts_and_no_others(bus):
    consent = await bus("consent")
    fact = Envelope(event_id=an_event_id(), key=a_subject())
    await consent.publish(subject("consent", fact.key), fact)
    with pytest.raises(AssentError):
        await consent.publish(subject("decision", fact.key), Envelope(event_id=an_event_id(), key=fact.key))


async def test_everybody_reads_bundles_and_content_alone_writes_them(bus):
    content, ranking = await (await bus("content")).kv("BUNDLES"), await (await bus("ranking")).kv("BUNDLES")
    await content.put("active", b"digest")

    assert (await ranking.get("active")).value == b"digest"
    with pytest.raises((nats.errors.Error, TimeoutError)):
        await ranking.put("active", b"forged")


async def test_everybody_may_watch_bundles(bus):
    content, profile = await (await bus("content")).kv("BUNDLES"), await (await bus("profile")).kv("BUNDLES")
    await content.put("watched", b"1")
    watcher = await profile.watch("watched")
    entry = await watcher.updates(timeout=5)
    await watcher.stop()

    assert entry.value == b"1"


async def test_tokens_hold_the_scopes_asked_for(tokens, keys):
    verifier = TokenVerifier(FileKeys(keys.jwks), issuer=keys.issuer, audience=keys.audience)
    caller = await verifier.caller_of(tokens("consent.check", subject="somebody"))

    assert (caller.subject, caller.scopes) == ("somebody", {"consent.check"})


def test_the_engine_is_chosen_by_name_or_by_what_answers(monkeypatch):
    monkeypatch.setenv(platforms.ENGINE, "embedded")
    assert platforms.engine() == "embedded"
    monkeypatch.setenv(platforms.ENGINE, "auto")
    monkeypatch.setattr(platforms, "_container_engine_answers", lambda: True)
    assert platforms.engine() == "containers"
    monkeypatch.setenv(platforms.ENGINE, "magic")
    with pytest.raises(ValueError, match="auto, embedded or containers"):
        platforms.engine()
