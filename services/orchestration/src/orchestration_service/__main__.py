"""The orchestration service: `serve` (default), `migrate --phase pre|post`, `check-settings`."""

from orchestration_service.app import build
from orchestration_service.settings import Settings
from servicekit.run import run

if __name__ == "__main__":
    run(build, Settings)
