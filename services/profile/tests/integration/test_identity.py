"""Who is whom: links, merges, conflicts, shared identifiers, forgetting."""

from __future__ import annotations

import pytest

from assent.events.v1.bank_pb2 import Identifier
from assent.profile.v1 import profile_service_pb2 as pb
from servicekit.errors import FailedPrecondition, Forbidden, Invalid, NotFound, Unavailable
from testkit.builders import unique
from testkit.waiting import until

from .conftest import balance, payment

pytestmark = pytest.mark.integration


async def test_a_merge_adds_the_folds_up_and_is_announced(bank):
    customer, visitor = unique("customer"), unique("visitor")
    await bank.ingest(payment(customer, 100))
    await bank.resolve("visitor", visitor, create=True)
    as_visitor = payment("", 20)
    as_visitor.subject.CopyFrom(Identifier(type="visitor", value=visitor))
    await bank.ingest(as_visitor)

    answer = await bank.link(("customer_number", customer), ("visitor", visitor))
    await bank.ingest(payment(customer, 3))
    await bank.folded()
    members = (answer.subject_id, *answer.absorbed)

    assert len(answer.absorbed) == 1
    assert bank.ledger.links == [(answer.subject_id, answer.absorbed[0])]
    assert await bank.value(answer.subject_id, "view.spend_month", members=members) == 123
    assert await bank.value(answer.absorbed[0], "view.spend_month", members=members) == 123
    assert (await bank.resolve("visitor", visitor)).subject_id == answer.subject_id
    assert sorted((await bank.resolve("visitor", visitor)).members) == sorted(members)


async def test_a_member_that_the_basis_does_not_name_is_left_out(bank):
    customer, visitor = unique("customer"), unique("visitor")
    await bank.ingest(payment(customer, 100), payment(visitor, 20))
    await bank.folded()
    one = (await bank.resolve("customer_number", customer)).subject_id
    other = (await bank.resolve("customer_number", visitor)).subject_id
    async with bank.pool.acquire() as connection:
        await connection.execute("update subject set survivor = $1::uuid where subject_id = $2::uuid", one, other)

    assert await bank.value(one, "view.spend_month") == 100
    assert await bank.value(one, "view.spend_month", members=(other,)) == 120


async def test_a_repeated_link_changes_nothing(bank):
    named = (("customer_number", unique("customer")), ("device", unique("device")))

    first, second = await bank.link(*named), await bank.link(*named)

    assert first == second
    assert bank.ledger.links == []


async def test_two_customers_never_become_one(bank):
    one, two, device = unique("customer"), unique("customer"), unique("device")
    await bank.link(("customer_number", one), ("device", device))
    await bank.resolve("customer_number", two, create=True)

    with pytest.raises(FailedPrecondition) as refused:
        await bank.link(("customer_number", two), ("device", device))

    assert refused.value.code == "IDENTIFIER_CONFLICT"
    assert bank.ledger.links == []


async def test_a_shared_identifier_never_merges(bank):
    one, two, device, visitor = (unique(kind) for kind in ("customer", "customer", "device", "visitor"))
    await bank.link(("customer_number", one), ("device", device))
    await bank.directory.mark_shared(bank.hasher.known("device", device))

    answer = await bank.link(("customer_number", two), ("device", device), ("visitor", visitor))

    assert not answer.absorbed
    assert (await bank.resolve("visitor", visitor)).subject_id == answer.subject_id
    assert (await bank.resolve("customer_number", one)).subject_id != answer.subject_id
    with pytest.raises(FailedPrecondition, match="shared"):
        await bank.link(("device", device))
    with pytest.raises(NotFound):
        await bank.resolve("device", device)


async def test_nothing_has_changed_when_the_ledger_refuses(bank):
    customer, visitor = unique("customer"), unique("visitor")
    one = (await bank.resolve("customer_number", customer, create=True)).subject_id
    other = (await bank.resolve("visitor", visitor, create=True)).subject_id
    bank.ledger.refusal = Unavailable()

    with pytest.raises(Unavailable):
        await bank.link(("customer_number", customer), ("visitor", visitor))

    assert (await bank.resolve("customer_number", customer)).subject_id == one
    assert (await bank.resolve("visitor", visitor)).subject_id == other


async def test_an_unknown_identifier_points_to_nobody_unless_created(bank):
    customer = unique("customer")
    with pytest.raises(NotFound):
        await bank.resolve("customer_number", customer)

    made = await bank.resolve("customer_number", customer, create=True)
    again = await bank.resolve("customer_number", customer, create=True)

    assert (made.created, again.created) == (True, False)
    assert made.subject_id == again.subject_id


async def test_a_forgotten_subject_is_gone_and_stays_gone(bank):
    customer = unique("customer")
    await bank.ingest(balance(customer, 5), payment(customer, 7))
    await bank.folded()
    subject = (await bank.resolve("customer_number", customer)).subject_id
    request = pb.EraseSubjectRequest(subject_id=subject, request_id=unique("request-id"))

    first = await bank.servicer.EraseSubject(request, None)
    again = await bank.servicer.EraseSubject(request, None)
    late = payment(customer, 9)
    late.subject.CopyFrom(Identifier(type="subject_id", value=subject))
    refused = await bank.ingest(late)

    assert first.rows_removed == 3
    assert again == first
    assert (refused.rejected, refused.results[0].field) == (1, "subject")
    assert await bank.rows(subject) == {}
    assert await bank.value(subject, "view.balance") is None
    with pytest.raises(NotFound):
        await bank.resolve("customer_number", customer)


async def test_an_event_on_its_way_does_not_bring_a_forgotten_subject_back(bank):
    from profile_service.handlers import recorded  # noqa: PLC0415

    subject = (await bank.resolve("customer_number", unique("customer"), create=True)).subject_id
    await bank.servicer.EraseSubject(pb.EraseSubjectRequest(subject_id=subject, request_id=unique("request-id")), None)
    await bank.bus.publish(*recorded(payment("x", 1), subject, 1))
    await bank.folded()

    assert await bank.rows(subject) == {}


async def test_a_view_gives_only_what_the_basis_covers(bank):
    customer = unique("customer")
    await bank.ingest(balance(customer, 5), payment(customer, 7), balance(unique("other"), 1))
    await bank.folded()
    subject = (await bank.resolve("customer_number", customer)).subject_id

    found = await bank.view(subject, categories=("holding",), purposes=("offers", "advice"))
    reasons = {one.attribute: one.reason for one in found.withheld}
    given = {one.attribute: one for one in found.fields}

    assert list(given["view.balance"].purposes) == ["advice", "offers"]
    assert reasons["view.spend_month"] == pb.WITHHELD_REASON_NO_CONSENT
    assert reasons["view.card_balance"] == pb.WITHHELD_REASON_UNKNOWN
    assert found.position > 0
    assert [one.attribute for one in found.fields] == sorted(given)


async def test_an_old_value_is_withheld_as_stale(bank):
    customer = unique("customer")
    await bank.ingest(balance(customer, 5, days_ago=10))
    await bank.folded()
    subject = (await bank.resolve("customer_number", customer)).subject_id

    found = await bank.view(subject, "view.balance")

    assert [one.reason for one in found.withheld] == [pb.WITHHELD_REASON_STALE]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: r.ClearField("basis"), "BASIS_MISSING"),
        (lambda r: setattr(r.basis, "signature", b"0" * 64), "BASIS_SIGNATURE"),
        (lambda r: setattr(r, "channel", "web"), "BASIS_CHANNEL"),
        (lambda r: setattr(r, "subject_id", "00000000-0000-4000-8000-000000000000"), "BASIS_SUBJECT"),
    ],
)
async def test_without_a_valid_basis_there_is_no_view(bank, change, reason):
    subject = (await bank.resolve("customer_number", unique("customer"), create=True)).subject_id
    given = bank.signer.basis(subject)
    request = pb.GetViewRequest(subject_id=subject, channel="app")
    request.basis.body, request.basis.key_id, request.basis.signature = given.body, given.key_id, given.signature
    change(request)

    with pytest.raises(Forbidden) as refused:
        await bank.servicer.GetView(request, None)

    assert refused.value.code == reason


async def test_an_undeclared_field_is_named(bank):
    subject = (await bank.resolve("customer_number", unique("customer"), create=True)).subject_id

    with pytest.raises(Invalid) as refused:
        await bank.view(subject, "view.balance", "view.shoe_size")

    assert refused.value.field == "attributes[1]"


async def test_a_merge_is_told_on_the_stream(bank):
    customer, visitor = unique("customer"), unique("visitor")
    for kind, value in (("customer_number", customer), ("visitor", visitor)):
        await bank.resolve(kind, value, create=True)
    await bank.link(("customer_number", customer), ("visitor", visitor))

    async def announced() -> bool:
        async with bank.pool.acquire() as connection:
            return not await connection.fetchval("select count(*) from outbox")

    await until(announced, timeout=10)
