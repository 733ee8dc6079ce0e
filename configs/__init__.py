"""Configurations that ship with the package; each header gives the command, the time and the score to expect."""
