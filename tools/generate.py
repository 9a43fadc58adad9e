"""`make generate`: everything that is committed and made from something else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import stubs

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Stubs from contracts, accounts from their table, locks from declarations."""
    stubs.generate(stubs.STUBS)
    print("stubs written to", stubs.STUBS.relative_to(ROOT))
    accounts = ROOT / "deploy/nats/accounts.conf"
    rendered = subprocess.run([sys.executable, ROOT / "deploy/nats/accounts.py"], check=True, capture_output=True)
    accounts.write_bytes(rendered.stdout)
    print("accounts written to", accounts.relative_to(ROOT))
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"}
    subprocess.run([ROOT / "tools/locks"], check=True, env=environment)
    print("locks written to requirements/")


if __name__ == "__main__":
    main()
