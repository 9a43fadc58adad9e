"""The eligibility service: `serve` (default), `migrate --phase pre|post`, `check-settings`."""

from eligibility_service.app import build
from eligibility_service.settings import Settings
from servicekit.run import run

if __name__ == "__main__":
    run(build, Settings)
