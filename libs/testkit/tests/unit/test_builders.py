from testkit.builders import a_session, a_subject, an_event_id


def test_what_is_built_is_new_each_time():
    made = [build() for build in (a_subject, a_session, an_event_id) for _ in range(2)]

    assert len(set(made)) == len(made)
