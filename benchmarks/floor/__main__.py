"""One process of the floor; it is the service whose NATS user it is given."""

from benchmarks.floor.app import build
from benchmarks.floor.settings import Settings
from servicekit.run import run

if __name__ == "__main__":
    run(build, Settings)
