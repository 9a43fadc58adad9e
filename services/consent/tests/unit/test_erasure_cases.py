"""A case against every order of decisions, holds, dates and crashes that hypothesis finds."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace

import pytest
from consent_fakes import KEY, VKEY
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from consent_service.reading import StatementKey
from consent_service.rights import cases, certificate
from consent_service.rights.cases import CASE, Case, Erasure, Signed, Stage, Todo, Verb
from servicekit.errors import AssentError, FailedPrecondition, Forbidden, Invalid

NOW = 1_800_000_000_000_000
DAY = 86_400_000_000
TAG = bytes(range(32))


def a_case(**changed) -> Case:
    made = Case("case", ("anna",), "CONSENT_WITHDRAWN", NOW, "clerk")
    return replace(cases.sealed(made, ["anna"]), **changed)


def approved(case: Case, *who: str, now_us: int = NOW, **changed) -> Case:
    for by in who or ("ada", "bob"):
        case = cases.approve(case, by, role="privacy officer", now_us=now_us, **changed)
    return case


def test_two_people_approve_and_nothing_happens_before():
    one = approved(a_case(), "ada")
    both = approved(one, "bob")

    assert (one.stage, cases.todo(one, NOW)) == (Stage.SEALED, None)
    assert (both.stage, cases.todo(both, NOW)) == (Stage.APPROVED, Todo.DESTROY)


def test_one_approver_is_not_two():
    case = approved(a_case(), "ada", "ada", "ada")

    assert (case.stage, len(case.approvals)) == (Stage.SEALED, 1)
    with pytest.raises(FailedPrecondition):
        cases.started(case, NOW)


def test_the_requester_does_not_approve():
    with pytest.raises(Forbidden) as caught:
        approved(a_case(), "clerk")

    assert caught.value.code == "APPROVER_IS_REQUESTER"


def test_an_approver_has_a_name_and_a_role():
    with pytest.raises(Forbidden):
        approved(a_case(), "")
    with pytest.raises(Invalid):
        cases.approve(a_case(), "ada", role="", now_us=NOW)


def test_a_hold_blocks_until_its_date_and_approvals_are_given_anew():
    held = cases.hold(approved(a_case(), "ada"), "carl", until_us=NOW + DAY, reason="docket 7", now_us=NOW)

    with pytest.raises(FailedPrecondition) as caught:
        approved(held, "bob", now_us=NOW + DAY - 1)

    assert caught.value.code == "HOLD_IN_FORCE"
    later = approved(held, "bob", now_us=NOW + DAY)
    assert (later.stage, len(later.approvals)) == (Stage.SEALED, 1)
    assert approved(later, "ada", now_us=NOW + DAY).stage is Stage.APPROVED


def test_a_hold_on_an_approved_case_stops_it():
    held = cases.hold(approved(a_case()), "carl", until_us=NOW + DAY, reason="docket 7", now_us=NOW)

    assert cases.todo(held, NOW + 2 * DAY) is None
    with pytest.raises(FailedPrecondition):
        cases.started(cases.at(held, NOW + 2 * DAY), NOW + 2 * DAY)


def test_nothing_stops_an_erasure_that_has_begun():
    case = cases.started(approved(a_case()), NOW)

    for decide in (
        lambda: cases.hold(case, "carl", until_us=NOW + DAY, reason="docket 7", now_us=NOW),
        lambda: cases.deny(case, "carl", now_us=NOW),
    ):
        with pytest.raises(FailedPrecondition) as caught:
            decide()
        assert caught.value.code == "ERASURE_STARTED"


def test_the_latest_date_until_which_anybody_keeps_proof_counts():
    case = approved(approved(a_case(), "ada", retain_until_us=NOW + 2 * DAY), "bob", retain_until_us=NOW + DAY)

    assert cases.todo(case, NOW + 2 * DAY - 1) is None
    assert cases.todo(case, NOW + 2 * DAY) is Todo.DESTROY


def test_a_denied_case_is_unsealed_and_closed():
    denied = cases.deny(approved(a_case(), "ada"), "bob", now_us=NOW)

    assert cases.todo(denied, NOW) is Todo.UNSEAL
    assert cases.todo(cases.unsealed(denied), NOW) is None
    assert cases.deny(denied, "bob", now_us=NOW) == denied
    with pytest.raises(FailedPrecondition) as caught:
        approved(denied, "carl")
    assert caught.value.code == "CASE_CLOSED"


def test_a_repeated_approval_of_a_finished_case_changes_nothing():
    case = cases.destroyed(cases.started(approved(a_case()), NOW), [Erasure(7, TAG)], NOW)
    done = cases.certified(case, Signed(b"{}", "kid", b"signature"))

    assert approved(done, "ada") == done
    assert (done.subjects, done.people) == ((), 1)


def test_members_that_came_later_are_approved_too():
    case = cases.grown(approved(a_case()), ["anna", "anne"], NOW)

    assert (case.stage, case.subjects, case.approvals) == (Stage.SEALED, ("anna", "anne"), ())
    assert case.decisions[-1].verb is Verb.MEMBERS_CHANGED


def test_the_certificate_says_what_was_destroyed_and_names_nobody():
    case = replace(a_case(), deleted={"event": 3, "reliance": 1}, exports=(NOW - DAY,))
    case = cases.destroyed(cases.started(approved(case), NOW), [Erasure(7, TAG)], NOW + 5)

    signed = certificate.sign(case, StatementKey(KEY, VKEY.key_id), ledger="1" * 32, now_us=NOW + 9)

    said = json.loads(signed.body)
    KEY.public_key().verify(signed.signature, certificate.CONTEXT + signed.body)
    assert b"anna" not in signed.body
    assert b"ada" not in signed.body
    assert [(entry["index"], b64decode(entry["tag"])) for entry in said["entries"]] == [(7, TAG)]
    assert said["deleted"] == {"event": 3, "reliance": 1}
    assert said["approvers"] == ["privacy officer", "privacy officer"]
    assert (said["key_destroyed_at"], said["backups_blind_after"]) == (NOW + 5, NOW + 5 + 35 * DAY)
    assert (said["case"], said["subjects"], said["exports_handed_out"]) == ("case", 1, [NOW - DAY])
    assert {"tombstone", "leaves"} <= {each["what"] for each in said["remains"]}


PEOPLE = st.sampled_from(["ada", "bob", "carl", "clerk", ""])
SPANS = st.integers(0, 5 * DAY)


class NothingIsDestroyedTooEarly(RuleBasedStateMachine):
    """Beside the case a plain account of who agreed since when, and until when somebody wants things kept."""

    def __init__(self):
        super().__init__()
        self.now = NOW
        self.case = Case("case", ("anna",), "CONSENT_WITHDRAWN", NOW, "clerk")
        self.agreed: set[str] = set()
        self.kept_until = 0
        self.held_until = 0

    def attempt(self, step) -> bool:
        try:
            self.case = replace(step(self.case), revision=self.case.revision + 1)
        except AssentError:
            return False
        return True

    @rule(span=SPANS)
    def time_passes(self, span):
        self.now += span

    @rule(by=PEOPLE, retain=st.none() | SPANS)
    def approve(self, by, retain):
        until = None if retain is None else self.now + retain
        before = len(self.case.decisions)
        held = self.now < self.held_until
        if self.attempt(lambda case: cases.approve(case, by, role="dpo", now_us=self.now, retain_until_us=until)):
            assert by
            assert by != "clerk"
            if len(self.case.decisions) > before:
                assert not held
                self.agreed.add(by)
                self.kept_until = max(self.kept_until, until or 0)

    @rule(by=PEOPLE, span=SPANS)
    def hold(self, by, span):
        if self.attempt(lambda case: cases.hold(case, by, until_us=self.now + span, reason="docket", now_us=self.now)):
            self.agreed.clear()
            self.kept_until, self.held_until = 0, self.now + span

    @rule(by=PEOPLE)
    def deny(self, by):
        self.attempt(lambda case: cases.deny(case, by, now_us=self.now))

    @rule(name=st.sampled_from(["anne", "annie"]))
    def grow(self, name):
        if self.case.stage is not Stage.REQUESTED and self.attempt(lambda case: cases.grown(case, [name], self.now)):
            self.agreed.clear()
            self.kept_until = 0

    @rule()
    def work(self):
        """What the service does next, if anything; a crash before or after is another rule's turn."""
        todo = cases.todo(self.case, self.now)
        if todo is Todo.SEAL:
            assert self.attempt(lambda case: cases.sealed(case, case.subjects))
        elif todo is Todo.UNSEAL:
            assert self.attempt(cases.unsealed)
        elif todo is Todo.CERTIFY:
            assert self.attempt(lambda case: cases.certified(case, Signed(b"{}", "kid", b"")))
        elif todo is Todo.DESTROY:
            assert self.attempt(lambda case: cases.started(case, self.now))
            assert self.attempt(lambda case: cases.destroyed(case, [Erasure(1, TAG)], self.now))

    @rule()
    def begin(self):
        self.attempt(lambda case: cases.started(case, self.now))

    @invariant()
    def a_destroyed_key_was_allowed_to_die(self):
        if self.case.died_us is not None or self.case.started_us is not None:
            assert len(self.agreed) >= 2
            assert self.held_until <= self.now
            assert self.kept_until <= self.now

    @invariant()
    def a_denied_case_destroys_nothing(self):
        if self.case.stage is Stage.DENIED:
            assert self.case.died_us is None

    @invariant()
    def a_closed_case_stays_closed(self):
        if not CASE[self.case.stage]:
            assert cases.todo(self.case, self.now) in (None, Todo.UNSEAL)


TestNothingIsDestroyedTooEarly = NothingIsDestroyedTooEarly.TestCase
