"""A run as a folder on disk: configured, built, trained, saved, restored, recorded and exported."""
