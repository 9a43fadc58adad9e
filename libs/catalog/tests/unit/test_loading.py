from pathlib import Path

import pytest

from catalog.findings import CatalogInvalid
from catalog.loading import load, load_bundle

SMALL = """\
bank: {name: Small, jurisdiction: DE, currency: EUR, time_zone: Europe/Berlin, locales: [{id: en-GB}]}
purposes:
- {id: assistance, title: Help, description: Help, owner: digital, categories: [behaviour], lawful_basis: {gdpr: consent}}
"""


def write(folder: Path, **files: str) -> Path:
    (folder / "bank.yaml").write_text(SMALL)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def found(folder: Path) -> list[tuple[str, str]]:
    return [(finding.code, str(finding.position)) for finding in load(folder).findings]


def test_a_folder_becomes_a_bundle(tmp_path):
    bundle = load_bundle(write(tmp_path))

    assert bundle.bank.name == "Small"
    assert bundle.purpose["assistance"].categories == ("behaviour",)


def test_sections_of_several_files_add_up(tmp_path):
    folder = write(tmp_path, more="channels:\n- {id: web, title: Web}\n", yet="channels:\n- {id: push, title: Push}\n")

    assert [channel.id for channel in load_bundle(folder).channels] == ["web", "push"]


def test_a_duplicate_key_is_refused_with_its_line(tmp_path):
    folder = write(tmp_path, more="channels:\n- id: web\n  title: Web\n  id: push\n")

    assert found(folder) == [("DUPLICATE_KEY", "more.yaml:4")]


def test_an_unknown_key_names_file_line_and_field(tmp_path):
    folder = write(tmp_path, more="channels:\n- id: web\n  title: Web\n  colour: red\n")

    [finding] = load(folder).findings

    assert (finding.code, str(finding.position)) == ("UNKNOWN_FIELD", "more.yaml:4")
    assert "colour" in finding.message


def test_an_unknown_section_is_refused(tmp_path):
    assert found(write(tmp_path, more="chanels: []\n")) == [("SECTION", "more.yaml:1")]


def test_nothing_written_is_not_a_value(tmp_path):
    assert found(write(tmp_path, more="channels:\n- id: web\n  title:\n")) == [("NULL", "more.yaml:3")]


def test_invalid_yaml_is_a_finding_with_its_line(tmp_path):
    assert found(write(tmp_path, more="channels:\n- {id: web\n")) == [("YAML", "more.yaml:3")]


def test_an_empty_folder_cannot_be_loaded(tmp_path):
    with pytest.raises(CatalogInvalid, match="no YAML file"):
        load_bundle(tmp_path)


def test_defaults_and_sets_are_expanded_into_signals(tmp_path):
    signals = """\
sets: {steady: [text_input, keypad]}
defaults: {owner: digital, kind: friction, key: session, purpose: assistance}
signals:
- signal: rage_click
  title: Taps one spot
  why: It does not work
  expires: 5m
  unless: [{role: $steady}]
  detect: {count: {of: {type: [tap, $steady]}, at_least: 3, gap: 1s}}
"""
    signal = load_bundle(write(tmp_path, signals=signals)).signal["rage_click"]

    assert signal.owner == "digital"
    assert signal.unless == ({"role": ("text_input", "keypad")},)
    assert signal.detect.primitive.of == {"type": ("tap", "text_input", "keypad")}


def test_an_unknown_set_is_refused_with_its_line(tmp_path):
    signals = "signals:\n- signal: a\n  unless:\n  - role: $steady\n"

    assert found(write(tmp_path, signals=signals)) == [("UNKNOWN_SET", "signals.yaml:4")]


def test_critical_steps_come_from_the_journeys(tmp_path):
    files = {
        "journeys": "journeys:\n- {id: kyc, title: K, owner: d, flow: kyc, abandoned_after: 15m, completes_on: {type: submit},"
        " steps: [{id: upload, title: U, critical: true}, {id: name, title: N}]}\n",
        "signals": "signals:\n- {signal: hesitation, title: H, why: W, owner: d, kind: friction, key: session, purpose: assistance,"
        " expires: 2m, detect: {dwell: {enter: {type: screen_view, step: $critical_steps}, for: 10s}}}\n",
    }
    bundle = load_bundle(write(tmp_path, **files))

    assert bundle.signal["hesitation"].detect.dwell.enter["step"] == ("upload",)
