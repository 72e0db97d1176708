"""The sorts of changes that are known, one module each (:mod:`kernelsight.diagnosis.change`)."""
