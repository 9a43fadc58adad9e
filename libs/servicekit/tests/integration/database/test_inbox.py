import pytest

from servicekit import inbox, postgres
from testkit.builders import an_event_id

pytestmark = pytest.mark.integration


async def test_an_event_is_new_once(pool):
    event = an_event_id()
    async with postgres.transaction(pool) as connection:
        seen = [await inbox.first_time(connection, event) for _ in range(2)]

    assert seen == [True, False]


async def test_an_event_whose_handling_rolled_back_is_new_again(pool):
    event = an_event_id()
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with postgres.transaction(pool) as connection:
            await inbox.first_time(connection, event)
            raise ZeroDivisionError
    async with postgres.transaction(pool) as connection:
        assert await inbox.first_time(connection, event)


async def test_only_old_events_are_forgotten(pool):
    young, old = an_event_id(), an_event_id()
    async with postgres.transaction(pool) as connection:
        await inbox.first_time(connection, young)
        await inbox.first_time(connection, old)
        await connection.execute("update inbox set seen_at = now() - interval '9 days' where event_id = $1", old)
        await inbox.forget(connection, keep_days=8)

        assert [await inbox.first_time(connection, event) for event in (young, old)] == [False, True]
