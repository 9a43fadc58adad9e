"""How hard property tests look: `ASSENT_HYPOTHESIS=thorough make test` takes its time, the default is for every day."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("quick", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("ASSENT_HYPOTHESIS", "quick"))
