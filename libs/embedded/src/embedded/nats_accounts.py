"""What each service may say and hear on NATS, as data: the embedded server, compose and Kubernetes all render this table.

Nobody subscribes to `evt.*`: facts are read through JetStream consumers, and a consumer can only be made on a stream that the account
`reads`. SIGNALS is readable by few, because client events can be forged and must not authorise anything (signals.md, N3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """One NATS user. A service serves `rpc.assent.<its name>.>` and hears `_INBOX.<its name>.>`; the rest is listed."""

    calls: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ()
    """Key-value and object buckets it writes; everybody reads BUNDLES and SNAPSHOTS."""
    says: tuple[str, ...] = ()
    hears: tuple[str, ...] = ()
    administers: bool = False
    """May create streams and read every one: the operator's command, never a service."""


ACCOUNTS: Mapping[str, Account] = {
    "profile": Account(
        calls=("consent",),
        writes=("bank", "profile"),
        reads=("BANK_EVENTS", "CONSENT"),
    ),
    "consent": Account(
        writes=("consent",),
        reads=("DECISIONS",),
    ),
    # The signer answers the ledger's writer, which may publish to whatever is of `consent`.
    "consent-signer": Account(
        hears=("rpc.assent.consent.v1.SignerService.>",),
    ),
    "signals": Account(
        calls=("consent", "profile"),
        writes=("session", "signal"),
        reads=("SESSION_EVENTS", "BANK_EVENTS", "CONSENT"),
        says=("live.signal.>",),
    ),
    "eligibility": Account(
        reads=("OUTCOMES", "CONSENT"),
    ),
    "ranking": Account(
        calls=("consent",),
        writes=("model",),
        reads=("DECISIONS", "OUTCOMES", "CONSENT"),
        buckets=("SNAPSHOTS",),
    ),
    "content": Account(
        calls=("consent",),
        buckets=("BUNDLES",),
    ),
    "orchestration": Account(
        calls=("profile", "consent", "signals", "eligibility", "ranking", "content"),
        writes=("decision", "outcome"),
        reads=("CONSENT", "SIGNALS", "DECISIONS"),
        hears=("live.signal.>",),
    ),
    "cli": Account(
        calls=("profile", "consent", "signals", "eligibility", "ranking", "content", "orchestration"),
        administers=True,
    ),
}

SHARED_BUCKETS = ("BUNDLES", "SNAPSHOTS", "LEASES")
"""Buckets that every service reads."""

SHARED_STREAMS = ("MODELS",)
"""Streams that every service reads: notices that a snapshot is head."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects that an account may publish and subscribe; replies to requests that it received are allowed besides."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def permissions(name: str, account: Account) -> Permissions:
    """The subjects that follow from `account`."""
    return Permissions(
        publish=(*_publishes(name, account), *_jetstream(account)),
        subscribe=(f"_INBOX.{name}.>", f"rpc.assent.{name}.>", "$SRV.>", *account.hears),
    )


def _publishes(name: str, account: Account) -> list[str]:
    rpc = [f"rpc.assent.{callee}.>" for callee in (*account.calls, name)]
    facts = [f"evt.{kind}.*" for kind in account.writes]
    buckets = [subject for bucket in account.buckets for subject in (f"$KV.{bucket}.>", f"$O.{bucket}.>")]
    return [*rpc, *facts, *buckets, *account.says, f"$KV.LEASES.{name}.>", f"dead.{name}.>", "$SRV.>"]


def _jetstream(account: Account) -> list[str]:
    if account.administers:
        return ["$JS.>", "$KV.>", "$O.>"]
    stores = [f"{kind}_{bucket}" for bucket in SHARED_BUCKETS for kind in ("KV", "OBJ")]
    streams = (*account.reads, *SHARED_STREAMS, *stores)
    purge = [f"$JS.API.STREAM.PURGE.OBJ_{bucket}" for bucket in account.buckets]
    return [
        "$JS.API.INFO",
        "$JS.API.STREAM.NAMES",
        *purge,
        *(subject for stream in streams for subject in _reads(stream)),
    ]


def _reads(stream: str) -> list[str]:
    """What it takes to look at one stream, to consume it and to acknowledge."""
    consumer = [
        f"CONSUMER.{verb}.{stream}"
        for verb in ("CREATE", "DURABLE.CREATE", "INFO", "MSG.NEXT", "DELETE", "NAMES", "LIST")
    ]
    direct = [f"DIRECT.GET.{stream}", f"STREAM.MSG.GET.{stream}", f"STREAM.INFO.{stream}"]
    api = [f"$JS.API.{verb}{rest}" for verb in (*consumer, *direct) for rest in ("", ".>")]
    return [*api, f"$JS.ACK.{stream}.>", f"$JS.FC.{stream}.>"]
