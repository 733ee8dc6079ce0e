"""Emulators of object stores, and a proxy before them that loses requests, refuses them or kills at one of them."""

import http.client
import random
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Proxy(ThreadingHTTPServer):
    """Passes requests on to a port of this machine.

    Attributes:
        chance: of a request to be refused, or to lose its reply.
        refuses: whether all are refused.
        seen: called before a request is passed on, with its method, and its path and the beginning of its body.
    """

    daemon_threads = True

    def __init__(self, to, seed=0):
        super().__init__(("127.0.0.1", 0), Handler)
        self.to, self.draws, self.chance, self.refuses = to, random.Random(seed), 0.0, False
        self.seen, self.failed, self.passed = (lambda method, path: None), 0, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Handles one connection."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        """Says nothing."""

    def _pass(self):
        proxy, body = self.server, self._body()
        proxy.seen(self.command, self.path + body[:2000].decode(errors="replace"))  # Google's names are in the body
        lot = 0.0 if proxy.refuses else proxy.draws.random()
        if proxy.refuses or lot < proxy.chance / 2:
            proxy.failed += 1
            return self._answer(503, [], b"")
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("transfer-encoding", "content-length")}
        connection = http.client.HTTPConnection("127.0.0.1", proxy.to, timeout=30)
        connection.request(self.command, self.path, body, headers)
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        if lot < proxy.chance:  # it was done, and the client does not know
            proxy.failed += 1
            self.close_connection = True
            return self.connection.close()
        proxy.passed += 1
        skip = (
            "transfer-encoding",
            "connection",
            "date",
            "server",
            *(() if self.command == "HEAD" else ("content-length",)),
        )
        return self._answer(reply.status, [(k, v) for k, v in reply.getheaders() if k.lower() not in skip], content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = _pass

    def _body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status, headers, content):
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def emulator(kind, port):
    """Starts an emulator of S3 or of Google's storage with an empty store, and waits until it answers."""
    code = {
        "s3": f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])",
        "gs": f"from gcp_storage_emulator.server import *; create_server('127.0.0.1', {port}, True, 'bucket').run()",
    }[kind]
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(300):
        try:
            url = f"http://127.0.0.1:{port}"
            if kind == "s3":
                urllib.request.urlopen(urllib.request.Request(f"{url}/bucket", method="PUT"), timeout=5).close()
            else:
                urllib.request.urlopen(f"{url}/storage/v1/b/bucket", timeout=5).close()
            return process
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise TimeoutError(f"the emulator of {kind} does not answer")
