"""How hypothesis behaves in the unit tier: no time limit an example, since a busy machine isn't a bug.

`pytest --hypothesis-profile=thorough` looks much further than an everyday run.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("sluice", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("sluice"), max_examples=2_000)
settings.load_profile("sluice")
