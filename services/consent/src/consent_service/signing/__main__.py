"""The signer of the consent ledger: `serve` (default), `check-settings`, `--adopt NOTE`."""

import sys

from consent_service.signing import adopting
from consent_service.signing.app import build
from consent_service.signing.settings import Settings
from servicekit.run import run

if __name__ == "__main__":
    if sys.argv[1:2] == ["--adopt"]:
        sys.exit(adopting.main(sys.argv[2:]))
    run(build, Settings)
