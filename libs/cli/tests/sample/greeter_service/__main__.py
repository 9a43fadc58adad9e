"""The sample: `serve` (default), `migrate --phase pre|post`, `check-settings`."""

from greeter_service.app import build
from greeter_service.settings import Settings
from servicekit.run import run

if __name__ == "__main__":
    run(build, Settings)
