"""Evaluation on held-out data: scores, rankings, mixtures, distances, and their tables."""
