"""The consent service: `serve` (default), `migrate --phase pre|post`, `check-settings`."""

from consent_service.app import build
from consent_service.settings import Settings
from servicekit.run import run

if __name__ == "__main__":
    run(build, Settings)
