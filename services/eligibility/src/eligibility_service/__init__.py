"""The eligibility service: what may be offered, and why not the rest."""
