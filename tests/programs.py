"""The program as a process of its own."""

import os
import subprocess
import sys


def program(*argv, shell="", **variables):
    line = [sys.executable, "-m", "ensgan.cli", *argv]
    line = ["sh", "-c", f'"$0" "$@" {shell}', *line] if shell else line
    environment = {**os.environ, "XLA_FLAGS": "", **variables}
    return subprocess.run(line, capture_output=True, timeout=120, env=environment)
