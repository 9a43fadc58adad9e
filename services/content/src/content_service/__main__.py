"""The content service: `serve` (default), `migrate --phase pre|post`, `check-settings`."""

from content_service.app import build
from content_service.settings import Settings
from servicekit.run import run

if __name__ == "__main__":
    run(build, Settings)
