"""Rollouts sampled in a process beside the learner's: what the learner holds of it."""
