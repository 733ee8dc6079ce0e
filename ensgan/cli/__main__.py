"""`python -m ensgan.cli` is the program `ensgan`."""

from ensgan.cli.main import command

command()
