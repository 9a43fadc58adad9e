"""What several commands take: times, files, and the names that a choice is among."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import click

from assent.catalog.v1.value_pb2 import DataCategory
from assent.consent.v1 import audit_service_pb2 as pb
from assent.consent.v1 import types_pb2

TIME: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f"])

RULES: Final = [name.removeprefix("VIOLATION_RULE_") for name, number in pb.ViolationRule.items() if number]
ACTORS: Final = [name.removeprefix("ACTOR_TYPE_").lower() for name, number in types_pb2.ActorType.items() if number]
CATEGORIES: Final = [name.removeprefix("DATA_CATEGORY_").lower() for name, number in DataCategory.items() if number]

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
since = click.option("--from", "since", type=TIME, help="This time or later (UTC).")
until = click.option("--to", "until", type=TIME, help="Before this time (UTC).")


def us(moment: datetime | None) -> int | None:
    """Epoch microseconds."""
    return int(moment.replace(tzinfo=UTC).timestamp() * 1_000_000) if moment is not None else None
