"""What every demonstration does: make the catalog count, feed the bank's events, record what people allow, ask for decisions."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import islice
from typing import Final
from uuid import uuid4

import grpc

from assent.catalog.v1.value_pb2 import DataCategory
from assent.consent.v1 import consent_service_pb2 as consent
from assent.consent.v1 import types_pb2
from assent.content.v1 import content_service_pb2 as content
from assent.events.v1.bank_pb2 import BankEvent, Identifier
from assent.orchestration.v1 import orchestration_service_pb2 as orchestration
from assent.profile.v1 import profile_service_pb2 as profile
from catalog.digest import bundle_to_json
from catalog.model import Bundle, Notice
from harbour_bank.clients import Caller, People

BATCH: Final = 500
LOCALE: Final = "en-GB"


async def activate(bundle: Bundle, who: People) -> str:
    """Propose, approve as often as the bundle needs, activate; the digest."""
    document = bundle_to_json(bundle)
    author = await who.author.content()
    proposed = await author.ProposeBundle(content.ProposeBundleRequest(bundle=document, why="the example bank"))
    digest = proposed.info.digest
    state = proposed.info.state
    for approver in who.approvers:
        if state == content.BUNDLE_STATE_PROPOSED:
            request = content.ApproveBundleRequest(digest=digest, why="read")
            state = (await (await approver.content()).ApproveBundle(request)).info.state
    await author.ActivateBundle(content.ActivateBundleRequest(digest=digest, why="go"))
    return digest


async def ingest(
    events: Iterable[BankEvent], who: People, progress: Callable[[int], None]
) -> profile.IngestBankEventsResponse:
    """Send bank events on one stream; `progress` is told how many were sent."""

    async def batches() -> AsyncIterator[profile.IngestBankEventsRequest]:
        left = iter(events)
        while batch := list(islice(left, BATCH)):
            yield profile.IngestBankEventsRequest(events=batch)
            progress(len(batch))

    return await (await who.bank.profile()).IngestBankEvents(batches())


def customer(number: str) -> Identifier:
    """A customer by number."""
    return Identifier(type="customer_number", value=number)


async def subject_of(identifier: Identifier, caller: Caller) -> str:
    """The subject an identifier points to."""
    stub = await caller.profile()
    return (await stub.ResolveSubject(profile.ResolveSubjectRequest(identifier=identifier))).subject_id


async def allow(bundle: Bundle, subject_id: str, purposes: Sequence[str], caller: Caller) -> int:
    """Grant purposes on a preference screen, one call per notice; the index of the last entry (0 without any)."""
    stub = await caller.consent()
    index = 0
    for notice in bundle.notices:
        covered = [purpose for purpose in purposes if purpose in notice.purposes]
        if covered:
            answer = await stub.RecordChoice(_grant(bundle, subject_id, covered, notice))
            index = answer.result.position.index
    return index


def _grant(bundle: Bundle, subject_id: str, purposes: Sequence[str], notice: Notice) -> consent.RecordChoiceRequest:
    text = notice.texts[LOCALE].encode()
    shown = types_pb2.NoticeRef(
        id=notice.id, version=notice.version, locale=LOCALE, sha256=hashlib.sha256(text).digest()
    )
    return consent.RecordChoiceRequest(
        request_id=uuid4().hex,
        subject_id=subject_id,
        items=[
            consent.Choice(kind=types_pb2.CHOICE_KIND_GRANT, scope=_scope(bundle, purpose, notice))
            for purpose in purposes
        ],
        notice=shown,
        actor=types_pb2.Actor(type=types_pb2.ACTOR_TYPE_CUSTOMER, auth_level="app_pin"),
        evidence=types_pb2.Evidence(method="toggle", ui_variant="preference_screen", locale=LOCALE),
    )


def _scope(bundle: Bundle, purpose: str, notice: Notice) -> types_pb2.Scope:
    categories = sorted(set(bundle.purpose[purpose].categories) & set(notice.categories))
    return types_pb2.Scope(
        purpose=purpose,
        channels=sorted(notice.channels),
        categories=[DataCategory.Value(f"DATA_CATEGORY_{name.upper()}") for name in categories],
        recipients=["self"],
    )


def decide_request(
    subject: Identifier, placements: Sequence[str], *, channel: str = "mobile", session: str = "", screen: str = ""
) -> orchestration.DecideRequest:
    """A request to decide, with an id of its own."""
    return orchestration.DecideRequest(
        request_id=uuid4().hex,
        subject=subject,
        session_id=session,
        channel=channel,
        locale=LOCALE,
        placements=[orchestration.PlacementRequest(id=name) for name in placements],
        context=orchestration.DecisionContext(screen=screen, device_class="phone"),
    )


async def until_decisions_work(caller: Caller, seconds: float = 20) -> None:
    """Wait until every service has heard of the bundle: a decision for a stranger answers without degradation."""
    stub = await caller.orchestration()
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        request = decide_request(Identifier(type="visitor", value="warm-up"), ["home.hero"])
        try:
            answer = await stub.Decide(request, timeout=5)
            if not answer.degradations:
                return
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError("the suite does not decide")
        await asyncio.sleep(0.1)
