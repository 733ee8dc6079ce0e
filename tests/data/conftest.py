"""A server of small data sets, in place of those that publish them."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from known_files import CONTENT

from ensgan.data import known
from ensgan.data.downloads import Remote


def files_of(name):
    return {f"{name.replace(':', '-')}/{file}": each for file, each in CONTENT[name].items()}


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server on the loopback address that has the files; the table of data sets names it, and the cache is empty."""
    served = {path: each for name in CONTENT for path, each in files_of(name).items()}
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.lstrip("/")
            asked.append(path)
            content = served.get(path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_):
            pass

    here = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=here.serve_forever, daemon=True).start()
    table = {
        name: {
            file: Remote(
                f"http://127.0.0.1:{here.server_port}/{name.replace(':', '-')}/{file}", hashlib.md5(each).hexdigest()
            )
            for file, each in CONTENT[name].items()
        }
        for name in CONTENT
    }
    monkeypatch.setattr(known, "FILES", table)
    monkeypatch.setenv("ENSGAN_DATA", str(tmp_path / "cache"))
    yield served, asked
    here.shutdown()
    here.server_close()
