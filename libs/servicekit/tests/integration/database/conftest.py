"""A service of two tables, written to a folder: enough to migrate, query and break."""

import sys
from importlib import resources
from pathlib import Path

import pytest

from servicekit import postgres

QUERIES = """\
-- name: add_note(id, body)!
-- Keep a note.
INSERT INTO note (id, body) VALUES (:id, :body);

-- name: note_of(id)^
-- One note, or none.
SELECT id, body FROM note WHERE id = :id;

-- name: notes()
-- Every note.
SELECT id, body FROM note ORDER BY id;
"""

CREATE = """\
-- migrate:up
CREATE TABLE note (id text PRIMARY KEY, body jsonb NOT NULL);
{outbox}
{inbox}
-- migrate:down
"""
INDEX = """\
-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY note_body ON note (body);
-- migrate:down
"""
DROP = "-- migrate:up\nDROP INDEX note_body;\n-- migrate:down\n"


def kit_sql(name: str) -> str:
    return (resources.files("servicekit") / "sql" / name).read_text()


def write_package(folder: Path, name: str, files: dict[str, str]) -> None:
    for path, text in {"__init__.py": "", "sql/queries.sql": QUERIES, **files}.items():
        file = folder / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """A folder of packages that can be imported while the tests run."""
    folder = tmp_path_factory.mktemp("packages")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="session")
def sample(packages):
    """The package of the sample service, migrated by `database("sample")`."""
    create = CREATE.format(outbox=kit_sql("outbox.sql"), inbox=kit_sql("inbox.sql"))
    files = {"pre/0001_note.sql": create, "pre/0002_index.sql": INDEX, "post/0003_drop.sql": DROP}
    write_package(packages, "sample_service", {f"sql/migrations/{path}": text for path, text in files.items()})
    return "sample_service"


@pytest.fixture
async def sample_database(database, sample):
    return await database("sample")


@pytest.fixture
async def pool(sample_database):
    async with postgres.pool(sample_database.settings, schema="sample") as opened:
        yield opened
