import json
import shutil

import pytest
from click.testing import CliRunner

from catalog.commands import catalog
from catalog.digest import bundle_digest, digest_of


def run(*arguments):
    result = CliRunner().invoke(catalog, [str(argument) for argument in arguments])
    return result.exit_code, result.output


@pytest.fixture
def folder(harbour_folder, tmp_path):
    return shutil.copytree(harbour_folder, tmp_path / "catalog")


def test_a_clean_catalog_passes_lint(harbour_folder, harbour):
    code, output = run("lint", harbour_folder, "--json")

    assert code == 0
    assert json.loads(output) == {"bundle": bundle_digest(harbour), "errors": 0, "warnings": 0, "findings": []}


def test_findings_exit_with_one(folder):
    (folder / "experiments.yaml").write_text(
        (folder / "experiments.yaml").read_text().replace("kyc_photo_help: warm", "x: warm")
    )
    code, output = run("lint", folder)

    assert code == 1
    assert "experiments.yaml:" in output
    assert "1 errors, 0 warnings" in output


def test_a_catalog_that_cannot_be_read_exits_with_two(folder):
    (folder / "bank.yaml").write_text("bank: {")

    assert run("lint", folder)[0] == 2
    assert run("digest", folder)[0] == 2
    assert run("test", folder)[0] == 2


def test_digest_prints_the_name_of_the_bundle_and_writes_its_bytes(harbour_folder, harbour, tmp_path):
    code, output = run("digest", harbour_folder, "--out", tmp_path / "bundle.json")

    assert (code, output.strip()) == (0, bundle_digest(harbour))
    assert digest_of((tmp_path / "bundle.json").read_bytes()) == bundle_digest(harbour)


def test_golden_cases_run_and_a_broken_one_exits_with_one(folder):
    assert run("test", folder) == (0, "25 of 25 cases passed\n")

    file = folder / "tests" / "help.yaml"
    file.write_text(file.read_text().replace("survive: [kyc_photo_help]", "survive: [kyc_time_left]"))

    code, output = run("test", folder, "--json")
    assert code == 1
    assert json.loads(output)["failed"] == 1
