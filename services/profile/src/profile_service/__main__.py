"""The profile service: `serve` (default), `migrate --phase pre|post`, `check-settings`."""

from profile_service.app import build
from profile_service.settings import Settings
from servicekit.run import run

if __name__ == "__main__":
    run(build, Settings)
