"""The page on architecture says what the code says: methods, streams, buckets, degradations, scopes."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

from embedded.nats_accounts import ACCOUNTS
from servicekit.partitions import PARTITIONS
from servicekit.provision import COMPANIONS
from servicekit.streams import BUCKETS, STREAMS, Stream

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text()
PROTOS = sorted((ROOT / "proto/assent").glob("*/v1/*_service.proto"))


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:2] == "| "]


def duration(seconds: float) -> str:
    return f"{seconds / 86_400:.0f} days" if seconds >= 86_400 else f"{seconds / 60:.0f} min"


def as_row(stream: Stream) -> tuple[str, str, str, str]:
    subjects = ", ".join(f"`{subject.replace('*', '<pp>')}`" for subject in stream.subjects)
    subjects = subjects.replace("dead.>", "dead.<service>.<stream>")
    return (
        stream.name,
        subjects,
        duration(stream.max_age.total_seconds()),
        duration(stream.duplicate_window.total_seconds()),
    )


def test_the_table_of_streams_is_the_kits():
    written = [(row[0], row[1], row[4], row[5]) for row in rows(section("Streams and buckets")) if len(row) == 6][1:]

    assert [as_row(stream) for stream in STREAMS] == written


def test_the_table_of_buckets_is_the_kits():
    written = [row[0] for row in rows(section("Streams and buckets")) if len(row) == 4][1:]

    assert [bucket.name for bucket in BUCKETS] == written


def test_the_page_knows_the_number_of_partitions():
    assert f"modulo {PARTITIONS}" in section("Partitions, leases, folds")


def test_every_method_is_in_the_table_of_services_or_declared_as_not_built():
    limits = (ROOT / "CHANGELOG.md").read_text().partition("UNIMPLEMENTED:")[2].partition("\n-")[0]
    not_built = set(re.findall(r"`([A-Za-z]+)`", limits.partition("Plan no")[0]))
    table = {row[0]: row[2] for row in rows(section("Services")) if len(row) == 4}
    for service, protos in groupby(PROTOS, key=lambda proto: proto.parent.parent.name):
        told = next(cell for name, cell in table.items() if f"({service})" in name.replace("../services/", ""))
        texts = "".join(proto.read_text() for proto in protos)
        methods = set(re.findall(r"^  rpc (\w+)\(", texts, re.MULTILINE))
        named = set(re.findall(r"\b[A-Z][A-Za-z]+\b", told))

        assert methods - not_built == named, service


def test_methods_that_are_said_not_to_be_built_are_not_overridden():
    limits = (ROOT / "CHANGELOG.md").read_text().partition("UNIMPLEMENTED:")[2].partition("Plan no")[0]
    servicers = "\n".join(path.read_text() for path in ROOT.glob("services/*/src/*/rpc.py"))
    not_built = re.findall(r"`([A-Za-z]+)`", limits)

    assert not_built
    assert [method for method in not_built if f"async def {method}(" in servicers] == []


def test_every_method_says_in_its_contract_who_may_call_it():
    for proto in PROTOS:
        text = proto.read_text()

        assert len(re.findall(r"^  rpc ", text, re.MULTILINE)) == len(re.findall(r"assent\.auth\.v1\.scope\) =", text))


def test_every_degradation_is_in_the_table_of_deciding():
    source = ROOT / "services/orchestration/src/orchestration_service"
    code = "\n".join(path.read_text() for path in source.rglob("*.py"))
    raised = set(re.findall(r'degrade\(\s*[^,]+, "([A-Z_]+)"', code))
    table = {word for row in rows(section("Deciding")) for word in re.findall(r"\b[A-Z]+_[A-Z_]+\b", row[-1])}

    assert raised == table


def test_the_stages_of_the_page_are_those_of_the_pipeline():
    stages = (ROOT / "services/orchestration/src/orchestration_service/pipeline/stages.py").read_text()
    written = [row[0] for row in rows(section("Deciding")) if len(row) == 4][1:]

    assert [*re.findall(r'Stage\("(\w+)"', stages), "record"] == written


def test_who_calls_whom_is_within_the_accounts():
    table = [row for row in rows(section("Services")) if len(row) == 4][1:]
    for row in table:
        service = re.findall(r"\[(\w+)\]", row[0])[0]
        others = set(ACCOUNTS) - {service, "insights", "cli"} - {companion.name for companion in COMPANIONS}
        calls = others if row[3] == "all others" else set(row[3].split(", "))

        assert calls - {""} <= set(ACCOUNTS[service].calls), service
