"""The profile on real PostgreSQL and NATS, as `assemble`d by the test: the ledger is a fake, everything else is real."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from assent.events.v1.bank_pb2 import Balance, BankEvent, Identifier, Transaction
from assent.profile.v1 import profile_service_pb2 as pb
from catalog.loading import load_bundle
from profile_service.catalogue import Plan, plan
from profile_service.folding import Folding
from profile_service.hashing import Hasher
from profile_service.rpc import Ports, ProfileServicer
from profile_service.store import PostgresDirectory, PostgresProfiles
from servicekit import basis, folds, leases, outbox, postgres
from servicekit.basis import SignedBasis, Verifier
from servicekit.clock import SystemClock
from servicekit.errors import Unavailable
from servicekit.vkeys import verifier_key
from testkit.builders import unique
from testkit.waiting import until

CATALOG = Path(__file__).parents[4] / "examples" / "harbour-bank" / "catalog"
DAY_MS = 86_400_000
ALL = (
    "behaviour",
    "demographic",
    "holding",
    "identity",
    "inferred",
    "interaction",
    "location",
    "sensitive",
    "transaction",
)
LEDGER = basis.ledger_id("harbour")


@dataclass
class FakeLedger:
    """Remembers links; refuses with `refusal` when it has one."""

    links: list[tuple[str, str]] = field(default_factory=list)
    refusal: Exception | None = None

    async def link(self, survivor: str, absorbed: str, *, request_id: str, evidence: str) -> None:
        if self.refusal:
            raise self.refusal
        assert 16 <= len(request_id) <= 64
        self.links.append((survivor, absorbed))


@dataclass
class OneBundle:
    """A catalog with the example bank only."""

    made: Plan

    async def plan(self, digest: str) -> Plan:
        return self.made


class Signer:
    """Signs bases as the ledger does."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.vkey = verifier_key("harbour", self._key.public_key())

    def basis(
        self, subject: str, *, categories=ALL, members=(), purposes=("money_insights",), ttl_ms=10_000
    ) -> SignedBasis:
        now_us = SystemClock().now_us()
        body = {
            "v": 1, "ledger": LEDGER, "epoch": 1, "index": 1, "subject": subject, "members": sorted({subject, *members}),
            "channel": "app", "recipient": "self", "regimes": [], "registry": "sha256:0", "at": now_us,
            "not_after": now_us + ttl_ms * 1000, "kid": self.vkey.key_id, "denied": [],
            "allowed": [{"purpose": one, "categories": sorted(categories), "basis": "consent", "support": 1} for one in purposes],
        }  # fmt: skip
        return basis.sign(body, self._key, self.vkey.key_id)


async def stream_of(*requests):
    for request in requests:
        yield request


@dataclass
class Bank:
    """A running profile service, called as its servicer is."""

    servicer: ProfileServicer
    pool: postgres.Pool
    dsn: str
    bus: object
    ledger: FakeLedger
    signer: Signer
    directory: PostgresDirectory
    hasher: Hasher

    async def ingest(self, *events: BankEvent) -> pb.IngestBankEventsResponse:
        batches = [pb.IngestBankEventsRequest(events=events[n : n + 1000]) for n in range(0, len(events), 1000)]
        return await self.servicer.IngestBankEvents(stream_of(*batches), None)

    async def resolve(self, kind: str, value: str, *, create: bool = False) -> pb.ResolveSubjectResponse:
        return await self.servicer.ResolveSubject(
            pb.ResolveSubjectRequest(identifier=Identifier(type=kind, value=value), create=create), None
        )

    async def link(self, *identifiers: tuple[str, str]) -> pb.LinkIdentifiersResponse:
        named = [Identifier(type=kind, value=value) for kind, value in identifiers]
        request = pb.LinkIdentifiersRequest(
            request_id=unique("request-id"), identifiers=named, evidence=pb.LINK_EVIDENCE_LOGIN
        )
        return await self.servicer.LinkIdentifiers(request, None)

    async def view(self, subject: str, *attributes: str, **signed) -> pb.GetViewResponse:
        given = self.signer.basis(subject, **signed)
        request = pb.GetViewRequest(subject_id=subject, channel="app", attributes=attributes)
        request.basis.body, request.basis.key_id, request.basis.signature = given.body, given.key_id, given.signature
        return await self.servicer.GetView(request, None)

    async def value(self, subject: str, attribute: str, **signed):
        found = await self.view(subject, attribute, **signed)
        if not found.fields:
            return None
        value = found.fields[0].value
        kind = value.WhichOneof("kind")
        return value.money.amount_minor if kind == "money" else getattr(value, kind)

    async def folded(self) -> None:
        """Wait until everything on the stream has been folded."""
        info = await self.bus.js.stream_info("BANK_EVENTS", subjects_filter="evt.>")
        ends = {name: (await self.bus.js.get_last_msg("BANK_EVENTS", name)).seq for name in info.state.subjects}

        async def caught_up() -> bool:
            try:
                async with postgres.connection(self.pool) as tx:
                    stand = dict(await tx.fetch("select partition, position from partition"))
            except Unavailable:
                return False
            return all(stand[int(name[-2:])] >= end for name, end in ends.items())

        await until(caught_up, timeout=60)

    async def rows(self, subject: str) -> dict[int, str]:
        async with postgres.connection(self.pool) as tx:
            found = await tx.fetch("select segment, body from fold where subject_id = $1::uuid", subject)
        return dict(found)


@asynccontextmanager
async def opened(database, bus, signer: Signer, *, folding: bool = True) -> AsyncIterator[Bank]:
    async with postgres.pool(database.settings) as pool:
        profiles, directory, ledger, hasher = (
            PostgresProfiles(pool),
            PostgresDirectory(pool),
            FakeLedger(),
            Hasher(b"k" * 32),
        )
        ports = Ports(
            directory=directory, journal=profiles, profiles=profiles, publisher=bus, ledger=ledger,
            catalog=OneBundle(plan(load_bundle(CATALOG))),
            verifier=Verifier(basis.public_keys([signer.vkey]), ledger=LEDGER),
            hasher=hasher, clock=SystemClock(), new_id=lambda: str(uuid.uuid4()),
        )  # fmt: skip
        bank = Bank(ProfileServicer(ports), pool, database.dsn, bus, ledger, signer, directory, hasher)
        if not folding:
            yield bank
            return
        async with leases.own(bus, "profile", unique("replica")) as held:
            tasks = [
                asyncio.create_task(
                    folds.fold(bus, held, "BANK_EVENTS", apply=Folding(pool).apply, load_position=profiles.position)
                ),
                asyncio.create_task(outbox.relay(pool, bus)),
            ]
            try:
                yield bank
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer()


@pytest.fixture
async def bank(database, bus, signer) -> AsyncIterator[Bank]:
    async with opened(await database("profile"), await bus("profile"), signer) as running:
        yield running


def now_ms() -> int:
    return SystemClock().now_us() // 1000


def payment(customer: str, amount: int, *, days_ago: float = 0, event_id: str | None = None, **fields) -> BankEvent:
    """A card payment of a customer."""
    transaction = Transaction(
        account="a1", direction="out", kind="card", amount_minor=amount, currency="EUR", merchant="m1", channel="pos",
        merchant_category="restaurant", booking_date="2026-01-31", value_date="2026-01-31",
    )  # fmt: skip
    transaction.MergeFrom(Transaction(**fields))
    return BankEvent(
        event_id=event_id or unique("event"),
        subject=Identifier(type="customer_number", value=customer),
        occurred_at_ms=now_ms() - int(days_ago * DAY_MS),
        transaction=transaction,
    )


def balance(customer: str, available: int, *, days_ago: float = 0, account: str = "a1") -> BankEvent:
    return BankEvent(
        event_id=unique("event"),
        subject=Identifier(type="customer_number", value=customer),
        occurred_at_ms=now_ms() - int(days_ago * DAY_MS),
        balance=Balance(
            account=account, product_kind="current", available_minor=available, balance_minor=available, currency="EUR"
        ),
    )
