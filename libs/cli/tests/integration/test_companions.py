"""A service's companion is a process of its own: a row, a role, an account and a folder, killed and restarted by itself."""

import asyncpg
import pytest

from assent_cli.screen import table
from assent_cli.stack import running_stack
from assent_cli.supervised import State

pytestmark = pytest.mark.integration


async def test_the_signer_runs_beside_the_ledger(tmp_path):
    tmp_path.chmod(0o755)
    async with running_stack(tmp_path / "state", ["consent"], durable=False) as stack:
        await stack.until_ready()
        rows = list(table(stack).columns[0].cells)
        kept = stack.state / "data/consent-signer/last-signed.json"
        described = stack.description()["services"]["consent-signer"]
        await stack.kill("consent-signer")
        states = {status.name: status.state for status in stack.statuses()}
        await stack.restart("consent-signer")
        await stack.until_ready()
        connection = await asyncpg.connect(stack.dsn("consent"))
        signed = await connection.fetchval("select max(size) from consent.checkpoint")
        await connection.close()

    assert rows == ["postgresql", "nats", "consent", "consent-signer"]
    assert kept.exists()
    assert described["dsn"].startswith("postgresql://consent_signer@")
    assert states == {"consent": State.READY, "consent-signer": State.HELD}
    assert signed > 0
