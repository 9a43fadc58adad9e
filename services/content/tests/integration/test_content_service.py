"""The service on real servers: a bundle from proposal to every replica, and what is refused on the way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest

from assent.consent.v1 import consent_service_pb2 as consent
from assent.consent.v1.consent_service_pb2_grpc import RegistryServiceServicer, add_RegistryServiceServicer_to_server
from assent.content.v1 import content_service_pb2 as pb
from assent.content.v1.content_service_pb2_grpc import ContentServiceStub
from catalog.digest import bundle_from_json, bundle_to_json
from catalog.loading import load_bundle
from catalog.model import Bundle
from content_service.app import build
from content_service.settings import Settings
from servicekit import grpc_client
from servicekit.app import Servicer
from servicekit.auth import FileKeys, ServiceTokenVerifier
from servicekit.bundles import watch
from servicekit.calls import Invoker
from servicekit.errors import FailedPrecondition
from servicekit.rpc import server as nats_server
from testkit.apps import serving, settings_values
from testkit.waiting import until

pytestmark = pytest.mark.integration

CATALOG = Path(__file__).parents[4] / "examples/harbour-bank/catalog"


class Ledger(RegistryServiceServicer):
    """A ledger that takes every registry but those whose bank is called refused."""

    def __init__(self) -> None:
        self.documents: list[bytes] = []

    async def PublishRegistry(self, request, context):
        if b"Refused" in request.document:
            raise FailedPrecondition(reason="BASIS_CHANGED")
        self.documents.append(request.document)
        return consent.PublishRegistryResponse(digest="sha256:" + request.request_id)


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return load_bundle(CATALOG)


@pytest.fixture
async def ledger(bus, keys) -> AsyncIterator[Ledger]:
    ledger = Ledger()
    verifier = ServiceTokenVerifier(
        FileKeys(keys.service_keys), service="consent", callers={"content": ("consent.registry",)}
    )
    served = [Servicer(add_RegistryServiceServicer_to_server, ledger)]
    invoker = Invoker(verifier, transport="nats", default_deadline_s=5)
    async with nats_server.serve(await bus("consent"), "consent", served, invoker=invoker):
        yield ledger


@pytest.fixture
async def address(database, nats_settings, streams, keys, tmp_path, bus) -> AsyncIterator[str]:
    bucket = await (await bus("cli")).kv("BUNDLES")
    await bucket.purge("active")  # what another test's database said
    values = settings_values("content", await database("content"), nats_settings("content"), keys, tmp_path)
    async with serving(build, Settings(**values)) as found:
        yield found


@pytest.fixture
async def call(address, tokens):
    """`await call("ada", "propose")` speaks for a person with these scopes."""
    async with AsyncExitStack() as opened:

        async def as_person(subject: str, *scopes: str) -> ContentServiceStub:
            token = tokens(*(f"content.{scope}" for scope in scopes), subject=subject)
            return ContentServiceStub(
                await opened.enter_async_context(grpc_client.channel(address, token=lambda: token))
            )

        yield as_person


async def activated(call, document: bytes) -> str:
    """Take a bundle through its whole life to active."""
    proposed = await (await call("ada", "propose")).ProposeBundle(pb.ProposeBundleRequest(bundle=document, why="first"))
    digest = proposed.info.digest
    for person in ("grace", "edith"):
        await (await call(person, "approve", "compliance")).ApproveBundle(
            pb.ApproveBundleRequest(digest=digest, why="read")
        )
    await (await call("ada", "activate")).ActivateBundle(pb.ActivateBundleRequest(digest=digest, why="go"))
    return digest


async def test_a_bundle_that_two_people_approved_reaches_every_replica(call, ledger, bundle, bus):
    document = bundle_to_json(bundle)

    digest = await activated(call, document)

    async with watch(await bus("orchestration"), bundle_from_json) as replica:
        active = await replica.wait_for(1, timeout=5)
        assert (active.digest, active.bundle) == (digest, bundle)
    assert len(ledger.documents) == 1


async def test_the_ledger_refusing_the_registry_keeps_the_bundle_inactive(call, ledger, bundle):
    refused = bundle.purposes[0].model_copy(update={"title": "Refused"})
    other = bundle.model_copy(update={"purposes": (refused, *bundle.purposes[1:])})

    with pytest.raises(grpc.aio.AioRpcError) as error:
        await activated(call, bundle_to_json(other))

    assert error.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    listed = await (await call("ada", "read")).ListBundles(pb.ListBundlesRequest(state=pb.BUNDLE_STATE_ACTIVE))
    assert list(listed.bundles) == []


async def test_the_proposer_cannot_approve_her_own_bundle(call, ledger, bundle):
    ada = await call("ada", "propose", "approve", "compliance")
    proposed = await ada.ProposeBundle(pb.ProposeBundleRequest(bundle=bundle_to_json(bundle)))

    with pytest.raises(grpc.aio.AioRpcError) as error:
        await ada.ApproveBundle(pb.ApproveBundleRequest(digest=proposed.info.digest))

    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_the_kill_switch_is_heard_within_a_second(call, ledger, bundle, bus):
    await activated(call, bundle_to_json(bundle))
    action = bundle.actions[0].id
    async with watch(await bus("orchestration"), bundle_from_json) as replica:
        await replica.wait_for(1, timeout=5)

        stopped = await (await call("eve", "kill")).KillSwitch(
            pb.KillSwitchRequest(kind="action", id=action, killed=True, why="wrong price")
        )

        active = await replica.wait_for(stopped.revision, timeout=1)
        assert active.killed_of("action") == (action,)


async def test_stopping_something_unknown_is_not_found(call, ledger, bundle):
    await activated(call, bundle_to_json(bundle))

    with pytest.raises(grpc.aio.AioRpcError) as error:
        await (await call("eve", "kill")).KillSwitch(pb.KillSwitchRequest(kind="action", id="nothing", killed=True))

    assert error.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "document",
    [b"", b"not json", b"{}", b'{"format":1}', b"x" * 2_000_000],
    ids=["empty", "text", "map", "part", "huge"],
)
async def test_what_is_no_bundle_is_refused_naming_the_field(call, ledger, document):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await (await call("ada", "propose")).ProposeBundle(pb.ProposeBundleRequest(bundle=document))

    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "bundle" in (error.value.details() or "")


async def test_json_that_is_not_canonical_is_refused(call, ledger, bundle):
    spaced = json.dumps(json.loads(bundle_to_json(bundle))).encode()

    with pytest.raises(grpc.aio.AioRpcError) as error:
        await (await call("ada", "propose")).ProposeBundle(pb.ProposeBundleRequest(bundle=spaced))

    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_action_is_rendered_in_both_locales(call, ledger, bundle):
    digest = await activated(call, bundle_to_json(bundle))
    action = next(action for action in bundle.actions if action.treatments_on("mobile"))
    words = {}
    for locale in ("en-GB", "de-DE"):
        request = pb.RenderRequest(
            bundle_digest=digest, locale=locale, channel="mobile", items=[pb.RenderItem(item="1", action=action.id)]
        )
        words[locale] = (await (await call("app", "render")).Render(request)).items[0].content

    assert words["en-GB"].locale == "en-GB"
    assert words["de-DE"].locale == "de-DE"
    assert words["en-GB"].body != words["de-DE"].body


async def test_an_unknown_bundle_cannot_be_rendered(call, ledger):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await (await call("app", "render")).Render(
            pb.RenderRequest(bundle_digest="sha256:" + "0" * 64, channel="mobile")
        )

    assert error.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_methods_that_are_not_built_say_so(call, ledger):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await (await call("ada", "activate")).RollbackBundle(pb.RollbackBundleRequest())

    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_caller_without_the_scope_is_turned_away(call, ledger):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await (await call("app", "render")).ListBundles(pb.ListBundlesRequest())

    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_lost_bucket_is_filled_again(call, ledger, bundle, bus):
    digest = await activated(call, bundle_to_json(bundle))
    bucket = await (await bus("cli")).kv("BUNDLES")
    await bucket.purge("active")
    await bucket.purge(digest.removeprefix("sha256:"))

    async with watch(await bus("orchestration"), bundle_from_json) as replica:
        assert (await replica.wait_for(1, timeout=5)).digest == digest


async def test_proposing_twice_is_one_bundle(call, ledger, bundle):
    ada = await call("ada", "propose", "read")
    first = await ada.ProposeBundle(pb.ProposeBundleRequest(bundle=bundle_to_json(bundle)))

    second = await ada.ProposeBundle(pb.ProposeBundleRequest(bundle=bundle_to_json(bundle)))

    assert first.info == second.info
    assert len((await ada.ListBundles(pb.ListBundlesRequest())).bundles) == 1


async def test_the_service_survives_the_death_of_postgresql(call, ledger, bundle, platform, address):
    ada = await call("ada", "propose", "read")
    await ada.ProposeBundle(pb.ProposeBundleRequest(bundle=bundle_to_json(bundle)))

    platform.postgres.kill()
    try:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await ada.ListBundles(pb.ListBundlesRequest())
    finally:
        platform.postgres.restart()

    async def answers() -> bool:
        try:
            return len((await ada.ListBundles(pb.ListBundlesRequest())).bundles) == 1
        except grpc.aio.AioRpcError:
            return False

    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    assert await until(answers, timeout=20)
