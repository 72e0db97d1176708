"""Investigates, and says what to do: a reasoner asks the telemetry through tools and yields a report.

A reasoner is either the deterministic diagnosis (``offline``, the default) or a model (``gemini``); both give a
:class:`~kernelsight.agent.model.Report` whose every claim cites rows that were looked up again. Nothing here
acts: a report holds proposals, and what becomes of them is for the policy to say.
"""
