"""Settings of the sample: variables GREETER_*."""

from servicekit.settings import ServiceSettings


class Settings(ServiceSettings, prefix="GREETER"):
    """Nothing of its own, but a key that only some services ask for."""

    ledger: str
    refuse_to_start: bool = False
