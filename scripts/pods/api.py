"""The part of the Kubernetes API that pods of the chart use: Secrets, over TLS, for who has the right token."""

import copy
import json
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from network import GATEWAY

PORT = 6443


class Api:
    """Objects by kind and name, of one namespace, and a server for the Secrets among them."""

    def __init__(self, folder, namespace):
        self.namespace = namespace
        self.objects = {}
        self.lock = threading.RLock()
        self.account = Path(folder) / "account"
        self._version = 0
        self.account.mkdir()
        (self.account / "token").write_text("token-of-the-jobs")
        (self.account / "namespace").write_text(namespace)
        self._serve()

    def _serve(self):
        key, certificate = self.account.parent / "api.key", self.account / "ca.crt"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-keyout", key, "-out", f"{certificate}.ca", "-days", "2", "-subj", "/CN=pods CA",
             "-addext", "basicConstraints=critical,CA:TRUE"], check=True, capture_output=True)
        request = subprocess.run(
            ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-keyout", f"{key}.server", "-subj", "/CN=kubernetes"], check=True, capture_output=True).stdout
        extensions = self.account.parent / "api.ext"
        extensions.write_text(f"subjectAltName=IP:{GATEWAY}\n")
        server = subprocess.run(
            ["openssl", "x509", "-req", "-CA", f"{certificate}.ca", "-CAkey", key, "-CAcreateserial", "-days", "2",
             "-extfile", extensions], input=request, check=True, capture_output=True).stdout
        chain = self.account.parent / "api.pem"
        chain.write_bytes(server)
        Path(f"{certificate}.ca").rename(certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, f"{key}.server")
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.answer(api.read, None)

            def do_POST(self):
                self.answer(api.create, self.body())

            def do_PUT(self):
                self.answer(api.replace, self.body())

            def body(self):
                return json.loads(self.rfile.read(int(self.headers["content-length"])))

            def answer(self, act, body):
                prefix = f"/api/v1/namespaces/{api.namespace}/secrets"
                allowed = self.headers.get("authorization") == "Bearer token-of-the-jobs"
                if not allowed or not self.path.startswith(prefix):
                    status, answer = 403, {"message": "forbidden"}
                else:
                    status, answer = act("Secret", self.path[len(prefix):].strip("/"), body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer((GATEWAY, PORT), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def get(self, kind, name):
        with self.lock:
            return copy.deepcopy(self.objects.get((kind, name)))

    def apply(self, manifest):
        """As `helm install` and `helm upgrade` leave it."""
        with self.lock:
            self._version += 1
            stored = copy.deepcopy(manifest)
            stored["metadata"]["resourceVersion"] = str(self._version)
            self.objects[manifest["kind"], manifest["metadata"]["name"]] = stored
            return copy.deepcopy(stored)

    def read(self, kind, name, _):
        found = self.get(kind, name)
        return (200, found) if found else (404, {"message": f"{name} not found"})

    def create(self, kind, _, body):
        with self.lock:
            if (kind, body["metadata"]["name"]) in self.objects:
                return 409, {"message": "already exists"}
            return 201, self.apply(body)

    def replace(self, kind, name, body):
        with self.lock:
            found = self.objects.get((kind, name))
            if not found:
                return 404, {"message": "not found"}
            if found["metadata"]["resourceVersion"] != body["metadata"].get("resourceVersion"):
                return 409, {"message": "the object has been modified"}
            return 200, self.apply(body)
