"""Where a jurisdiction's law applies."""

from __future__ import annotations

import pytest

from catalog.jurisdictions import lies_in


@pytest.mark.parametrize(
    ("place", "jurisdiction"), [("DE", "DE"), ("DE", "EU"), ("EU", "EU"), ("US-CA", "US"), ("ES-CT", "EU")]
)
def test_a_place_lies_in_itself_its_country_and_its_union(place, jurisdiction):
    assert lies_in(place, jurisdiction)


@pytest.mark.parametrize(
    ("place", "jurisdiction"), [("GB", "EU"), ("CH", "EU"), ("US", "US-CA"), ("EU", "DE"), ("", "EU")]
)
def test_a_place_lies_in_no_other(place, jurisdiction):
    assert not lies_in(place, jurisdiction)
