"""From symptoms to causes: who suffers, what for, where that ends, and by which mechanism.

:func:`diagnose` reads a window of a store and gives a :class:`~kernelsight.diagnosis.model.Diagnosis`
whose every claim cites the rows that show it; :func:`~kernelsight.diagnosis.check.check` proves that
they do. Deterministic, and needs nothing but the store.
"""

from kernelsight.diagnosis.diagnose import diagnose
from kernelsight.diagnosis.model import Diagnosis, Entity, Evidence, Finding, Proposal, RuledOut, Step

__all__ = ["Diagnosis", "Entity", "Evidence", "Finding", "Proposal", "RuledOut", "Step", "diagnose"]
