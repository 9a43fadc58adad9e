"""Settings of the orchestration service: variables ORCHESTRATION_*."""

from __future__ import annotations

from pathlib import Path

from servicekit.settings import ServiceSettings


class Settings(ServiceSettings, prefix="ORCHESTRATION"):
    """`tracking_key`: a file of random bytes that signs tracking tokens. `basis_keys`: the ledger's verifier keys, one per line."""

    tracking_key: Path
    basis_keys: Path
    ledger: str = "harbour"
