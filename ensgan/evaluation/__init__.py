"""What held-out data say of a trained game: scores, rankings, mixtures, distances, and their tables."""
