"""An upstream that sends what common servers do not: early hints, trailers, an event stream step by step."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WAIT_SECONDS = 15
EVENTS = 3


class Raw:
    """The upstream, in a thread of this process."""

    def __init__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.raw = self
        self.port = self.server.server_port
        self.next = threading.Semaphore(0)
        self.released = threading.Event()
        self.requests = []
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def begin(self):
        """Forgets what came, and holds anew what is to be held."""
        self.requests.clear()
        self.released.clear()

    def seen(self, path):
        """Returns how many requests for a path came."""
        return self.requests.count(path)


class Handler(BaseHTTPRequestHandler):
    """Answers by the path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.split("?")[0]
        self.server.raw.requests.append(path)
        answers = {
            "/hints": self.hints,
            "/trailers": self.trailers,
            "/chunked": self.chunked,
            "/head": self.head,
            "/events": self.events,
            "/stream": self.stream,
            "/unavailable": self.unavailable,
            "/upload": self.upload,
            "/hold": self.hold,
            "/release": self.release,
        }
        answers.get(path, self.unknown)()

    do_HEAD = do_POST = do_PUT = do_OPTIONS = do_GET

    def log_message(self, *_arguments):
        pass

    def say(self, text):
        self.wfile.write(text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode())
        self.wfile.flush()

    def answer(self, document):
        body = json.dumps(document).encode()
        self.say(f"HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: {len(body)}\n")
        # Any page may read it, as public APIs often allow, and by what it came.
        self.say("Access-Control-Allow-Origin: *\nTiming-Allow-Origin: *\n\n")
        self.say(body)

    def hints(self):
        self.say("HTTP/1.1 103 Early Hints\nLink: </style.css>; rel=preload; as=style\n\n")
        self.say("HTTP/1.1 103 Early Hints\nLink: </script.js>; rel=preload; as=script\n\n")
        self.say("HTTP/1.1 200 OK\nContent-Length: 5\n\n")
        self.say(b"hello")

    def trailers(self):
        self.say("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-Checksum\n\n")
        self.say("5\nhello\n0\nX-Checksum: 5d41402a\n\n")

    def chunked(self):
        self.say("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5;note=x\nhello\n6\n world\n0\n\n")

    def head(self):
        self.answer({name.lower(): value for name, value in self.headers.items()})

    def events(self):
        """Sends an event, and the next one only when the one before was seen."""
        self.stream(lambda: self.server.raw.next.acquire(timeout=WAIT_SECONDS))

    def stream(self, may_go_on=lambda: True):
        self.say("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nCache-Control: no-store\n")
        self.say("Access-Control-Allow-Origin: *\nTransfer-Encoding: chunked\n\n")
        for number in range(1, EVENTS + 1):
            event = f"id: {number}\ndata: event {number}\n\n"
            self.say(f"{len(event):x}\r\n{event}\r\n".encode())
            if not may_go_on():
                self.close_connection = True
                return
        self.say("0\n\n")

    def upload(self):
        digest, size, trailers = hashlib.sha256(), 0, {}
        if self.headers.get("Transfer-Encoding") == "chunked":
            while (length := int(self.rfile.readline().split(b";")[0], 16)) > 0:
                digest.update(self.rfile.read(length))
                size += length
                self.rfile.readline()
            while (line := self.rfile.readline().decode().strip()) != "":
                name, value = line.split(":", 1)
                trailers[name.lower()] = value.strip()
        else:
            size = int(self.headers.get("Content-Length") or 0)
            digest.update(self.rfile.read(size))
        self.answer({"bytes": size, "sha256": digest.hexdigest(), "trailers": trailers})

    def hold(self):
        """Answers only after `/release`."""
        self.server.raw.released.wait(WAIT_SECONDS)
        self.answer({})

    def release(self):
        self.server.raw.released.set()
        self.answer({})

    def unavailable(self):
        self.say("HTTP/1.1 503 Service Unavailable\nContent-Length: 0\n\n")

    def unknown(self):
        self.say("HTTP/1.1 404 Not Found\nContent-Length: 0\n\n")
