"""Stands between a client and the API server and lets so many writes through; whoever wrote is then killed, before it
hears of the answer. A submit that is killed at each of its steps needs no fault points in the program.

    relay.py FOLDER_OF_THE_CLUSTER WRITES      prints its port; dry runs and reviews are no writes
"""

import http.client
import http.server
import pathlib
import ssl
import sys
import threading

folder, writes_left = pathlib.Path(sys.argv[1]), int(sys.argv[2])
context = ssl.create_default_context(cafile=folder / "pki/ca.crt")
context.load_cert_chain(folder / "pki/admin.crt", folder / "pki/admin.key")
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def relay(self):
        global writes_left
        is_write = self.command != "GET" and "dryRun" not in self.path and "reviews" not in self.path
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        upstream = http.client.HTTPSConnection("127.0.0.1", 6443, context=context)
        kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length")}
        upstream.request(self.command, self.path, body, kept)
        reply = upstream.getresponse()
        answer = reply.read()
        if is_write:
            with lock:
                writes_left -= 1
                if writes_left == 0:
                    print("written", flush=True)  # the test kills the writer; it gets no answer
                    threading.Event().wait()
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.headers.get("Content-Type", ""))
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = relay

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
