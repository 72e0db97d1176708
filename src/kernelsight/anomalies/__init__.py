"""Deviations of series from what they have been: baselines, novelty, tail probabilities, episodes, incidents."""
