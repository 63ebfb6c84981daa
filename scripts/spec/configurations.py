"""The configurations of the model, and what TLC has to say of each."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parents[2] / "docs" / "spec"

TEMPORAL = "a temporal property"
"""TLC does not name the one that is violated."""


class Configuration(NamedTuple):
    """One file of constants and properties for a module.

    Args:
        violates: the property of which TLC must find a counterexample; None: all must hold.
        deep: takes minutes, and runs only when asked for.
    """

    name: str
    module: str
    violates: str | None = None
    deep: bool = False


CONFIGURATIONS = (
    Configuration("Lease", "Lease"),
    Configuration("LeaseLiveness", "Lease"),
    Configuration("LeasePark", "Lease"),
    Configuration("LeasePoison", "Lease"),
    Configuration("LeaseNoFence", "Lease", violates="ResultIsOwn"),
    Configuration("LeaseNoToken", "Lease", violates="CallsAreAttempts"),
    Configuration("LeaseNoRescue", "Lease", violates=TEMPORAL),
    Configuration("LeaseByStatus", "Lease", violates="ReportsTrue"),
    Configuration("Settle", "Settle"),
    Configuration("SettleTwice", "Settle"),
    Configuration("SettleLiveness", "Settle"),
    Configuration("SettleUnguarded", "Settle", violates="ParentTrue"),
    Configuration("LeaseDeep", "Lease", deep=True),
    Configuration("LeaseLivenessDeep", "Lease", deep=True),
    Configuration("LeasePoisonDeep", "Lease", deep=True),
)
