"""The ranking service: `serve` (default), `migrate --phase pre|post`, `check-settings`."""

from ranking_service.app import build
from ranking_service.settings import Settings
from servicekit.run import run

if __name__ == "__main__":
    run(build, Settings)
