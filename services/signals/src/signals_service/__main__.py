"""The signals service: `serve` (default), `migrate --phase pre|post`, `check-settings`."""

from servicekit.run import run
from signals_service.app import build
from signals_service.settings import Settings

if __name__ == "__main__":
    run(build, Settings)
