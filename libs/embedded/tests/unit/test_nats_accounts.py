from embedded.nats_accounts import ACCOUNTS, permissions

READERS_OF_SIGNALS = {"orchestration", "profile", "insights", "signals"}


def test_only_four_services_read_signals():
    readers = {name for name, account in ACCOUNTS.items() if "SIGNALS" in account.reads}

    assert readers == READERS_OF_SIGNALS


def test_every_kind_of_fact_has_one_writer():
    writes = [kind for account in ACCOUNTS.values() for kind in account.writes]

    assert len(writes) == len(set(writes))


def test_nobody_subscribes_to_facts():
    subscribed = [subject for name, account in ACCOUNTS.items() for subject in permissions(name, account).subscribe]

    assert not [subject for subject in subscribed if subject.startswith(("evt.", ">", "*", "_INBOX.>"))]


def test_calls_go_to_services_that_exist():
    assert all(callee in ACCOUNTS for account in ACCOUNTS.values() for callee in account.calls)


def test_only_the_operator_administers():
    assert [name for name, account in ACCOUNTS.items() if account.administers] == ["cli"]
