import pytest

from testkit.waiting import until


async def test_the_first_true_answer_is_given():
    answers = iter([0, 0, 7])

    assert await until(lambda: next(answers)) == 7


async def test_a_condition_that_never_holds_is_an_error_with_its_last_answer():
    with pytest.raises(AssertionError, match="still 0"):
        await until(lambda: 0, timeout=0.02)
