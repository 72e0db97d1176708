"""The closed list of probes, one module each (:mod:`kernelsight.diagnosis.probe`)."""
