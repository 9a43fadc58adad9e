"""The noise of section 6: reproducible everywhere, and normal."""

import hashlib
import importlib.util
import statistics
from pathlib import Path

import pytest

from ranking_service.domain import noise
from ranking_service.domain.tables import NQ, table
from servicekit.errors import FailedPrecondition


def test_splitmix64_gives_the_published_sequence():
    """The first outputs for seed 1234567, as in the reference implementations."""
    state, found = 1234567, []
    for _ in range(5):
        found.append(noise.splitmix64(state))
        state = (state + 0x9E3779B97F4A7C15) & noise.MASK

    assert found == [
        6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
    ]  # fmt: skip


def test_a_key_is_the_hash_of_its_concatenated_parts():
    digest, seed = bytes(range(32)), 7
    text = b"assent-rank-1\x00" + b"d-1" + b"\x00" + digest + seed.to_bytes(8, "little")

    expected = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")

    assert expected == noise.decision_key("d-1", digest, seed)


def test_the_noise_of_a_decision_is_what_it_always_was():
    key = noise.decision_key("d-1", bytes(32), 0)

    assert (key, noise.normal(key, "gold_card", table(NQ)), noise.draw(key, "ramp", "gold_card")) == (
        450533729592875832, -2033453, 4368102880118082540,
    )  # fmt: skip


def test_ten_thousand_draws_look_normal():
    key, quantiles = noise.decision_key("d", bytes(32), 1), table(NQ)
    drawn = [noise.normal(key, f"a{number}", quantiles) / (1 << 20) for number in range(10_000)]

    assert abs(statistics.fmean(drawn)) < 0.04
    assert abs(statistics.stdev(drawn) - 0.9998) < 0.03


def generator():
    path = Path(__file__).parents[2] / "tools" / "tables.py"
    spec = importlib.util.spec_from_file_location("tables_generator", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_shipped_table_is_what_the_generator_computes():
    tool = generator()

    assert hashlib.sha256(tool.written(tool.normal_quantiles())).hexdigest() == NQ


def test_the_shipped_table_holds_normal_quantiles():
    quantiles, normal = table(NQ), statistics.NormalDist()

    assert len(quantiles) == 4097
    assert quantiles[-1] == -quantiles[0] == round(normal.inv_cdf(1 - 2**-14) * (1 << 20))
    assert all(abs(quantiles[k] - normal.inv_cdf(k / 4096) * (1 << 20)) < 0.51 for k in range(1, 4096))


def test_a_table_that_is_not_shipped_is_refused():
    with pytest.raises(FailedPrecondition, match="not shipped"):
        table("0" * 64)
