"""The use cases around the learner, on what is kept in memory."""

import pytest

from ranking_service import handlers
from ranking_service.domain.counts import Count, Key
from ranking_service.domain.snapshot import Snapshot
from servicekit.errors import FailedPrecondition, NotFound, Unavailable


class MemoryStore:
    """Versions in a list, built from a ledger."""

    def __init__(self, ledger):
        self.ledger, self.versions, self.published = ledger, [Snapshot(1, 0, {})], set()

    async def build(self, now_ms, *, force=False):
        counts = await self.ledger.counts()
        if not force and counts == self.versions[-1].counts:
            return None
        self.versions.append(Snapshot(len(self.versions) + 1, now_ms, counts))
        return self.versions[-1]

    async def get(self, version):
        return next((each for each in self.versions[::-1] if version in {0, each.version}), None)

    async def unpublished(self):
        return [each for each in self.versions if each.version not in self.published]

    async def mark_published(self, version):
        self.published.add(version)


class Shelf:
    """Remembers what was published; `fails` times it is away."""

    def __init__(self, fails=0):
        self.versions, self.fails = [], fails

    async def publish(self, snapshot):
        if self.fails:
            self.fails -= 1
            raise Unavailable
        self.versions.append(snapshot.version)


class Verdicts:
    """A ledger that allows learning on these channels."""

    def __init__(self, *channels):
        self.channels = channels

    async def may_learn(self, subject_id, channels):
        return {channel: channel in self.channels for channel in channels}


@pytest.fixture
def ledger(memory_learner):
    class Remembering(memory_learner):
        def __init__(self):
            super().__init__()
            self.answers = {}

        async def forgotten(self, request):
            return self.answers.get(request)

        async def remember_forgotten(self, request, forgotten):
            self.answers.setdefault(request, forgotten)

    return Remembering()


async def teach(ledger, make, *channels):
    for channel in channels:
        await ledger.learn_decisions([make.decision(f"d-{channel}", channel=channel)])
        await ledger.learn_outcomes([make.outcome(f"i-{channel}", f"d-{channel}")])


async def test_a_narrowing_unlearns_only_the_channels_that_the_ledger_denies(ledger, make):
    await teach(ledger, make, "mobile", "web")
    store, shelf = MemoryStore(ledger), Shelf()

    removed = await handlers.narrow_subject(
        "s", ledger_index=11, now_ms=5, consent=Verdicts("web"), learner=ledger, store=store, publication=shelf
    )

    assert removed >= 1
    assert await ledger.counts() == {Key("m", "a", "mobile"): Count(1, 0)}
    assert shelf.versions == [1, 2]


async def test_a_narrowing_that_leaves_learning_alone_changes_nothing(ledger, make):
    await teach(ledger, make, "mobile")
    shelf = Shelf()

    removed = await handlers.narrow_subject(
        "s",
        ledger_index=11,
        now_ms=5,
        consent=Verdicts("mobile"),
        learner=ledger,
        store=MemoryStore(ledger),
        publication=shelf,
    )

    assert (removed, shelf.versions) == (0, [])


async def test_another_subjects_narrowing_asks_nobody(ledger, make):
    removed = await handlers.narrow_subject(
        "t", ledger_index=1, now_ms=5, consent=None, learner=ledger, store=MemoryStore(ledger), publication=Shelf()
    )

    assert removed == 0


async def test_forgetting_again_gives_the_first_answer(ledger, make):
    await teach(ledger, make, "mobile")
    ports = {"learner": ledger, "store": MemoryStore(ledger), "publication": Shelf()}

    first = await handlers.forget_subject("s", request_id="r", now_ms=make.NOW, **ports)
    await teach(ledger, make, "web")
    again = await handlers.forget_subject("s", request_id="r", now_ms=make.NOW, **ports)

    assert first == again == (2, 2)


async def test_a_request_id_of_another_subject_is_another_request(ledger, make):
    await teach(ledger, make, "mobile")
    ports = {"learner": ledger, "store": MemoryStore(ledger), "publication": Shelf()}
    await handlers.forget_subject("t", request_id="r", now_ms=make.NOW, **ports)

    assert (await handlers.forget_subject("s", request_id="r", now_ms=make.NOW, **ports)).rows_removed == 2


async def test_forgetting_that_was_cut_off_still_names_a_version_without_the_subject(ledger, make):
    await teach(ledger, make, "mobile")
    store = MemoryStore(ledger)
    await store.build(4)
    await ledger.forget("s", ledger_index=0, now_ms=make.NOW)  # and then the process died

    ports = {"learner": ledger, "store": store, "publication": Shelf()}
    answer = await handlers.forget_subject("s", request_id="r", now_ms=make.NOW, **ports)

    assert (await store.get(answer.snapshot_version)).counts == {}


async def test_what_could_not_be_published_is_published_later(ledger, make):
    await teach(ledger, make, "mobile")
    store, shelf = MemoryStore(ledger), Shelf(fails=1)
    with pytest.raises(Unavailable):
        await handlers.build_snapshot(5, store=store, publication=shelf)

    assert await handlers.build_snapshot(6, store=store, publication=shelf) is None
    assert shelf.versions == [1, 2]


class Nothing:
    def head(self):
        raise FailedPrecondition(reason="SNAPSHOT_UNAVAILABLE")


async def test_a_snapshot_that_is_not_there_is_not_found():
    with pytest.raises(NotFound):
        await handlers.find_snapshot(0, snapshots=Nothing())


def test_estimators_are_kept_by_what_they_are_functions_of(make):
    kept, spec = handlers.Estimators(), make.specification([make.action("a")])
    first = kept.of(spec, make.snapshot())

    assert kept.of(spec, make.snapshot()) is first
    for version in range(2, 20):
        kept.of(spec, make.snapshot(version=version))
    assert kept.of(spec, make.snapshot()) is not first
