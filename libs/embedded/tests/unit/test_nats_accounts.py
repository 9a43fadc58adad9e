from typing import get_args

from embedded.nats_accounts import ACCOUNTS, SHARED_BUCKETS, SHARED_STREAMS, permissions
from servicekit.streams import BUCKETS, BY_NAME, Kind

READERS_OF_SIGNALS = {"orchestration"}
"""The design allows four (signals.md, N3); who does not read today has no right to."""


def test_only_who_pushes_on_signals_reads_them():
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


def test_every_name_is_one_that_the_bus_has():
    accounts = ACCOUNTS.values()
    streams = {stream for account in accounts for stream in account.reads} | set(SHARED_STREAMS)
    buckets = {bucket for account in accounts for bucket in account.buckets} | set(SHARED_BUCKETS)

    assert streams <= set(BY_NAME)
    assert buckets == {bucket.name for bucket in BUCKETS}


def test_every_kind_of_fact_can_be_written():
    assert {kind for account in ACCOUNTS.values() for kind in account.writes} == set(get_args(Kind))


def test_every_stream_is_read_by_somebody():
    read = {stream for account in ACCOUNTS.values() for stream in account.reads} | set(SHARED_STREAMS)

    assert set(BY_NAME) - read == {"DEAD_LETTERS"}  # the operator's
