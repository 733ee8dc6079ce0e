"""Samples of a trained ensemble: drawn, judged by all discriminators, and refined."""
