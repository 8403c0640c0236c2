"""Passes TCP connections on, as a Service's load balancer does: to those who are ready at this moment."""

import itertools
import socket
import threading


def balance(listen, targets):
    """For as long as this process lives. `targets` gives the addresses (host, port) of now."""
    turn = itertools.count()

    def carry(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            # Either end broke off: the other one hears of it.
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def serve(client):
        ready = targets()
        try:
            server = socket.create_connection(ready[next(turn) % len(ready)], timeout=5)
            server.settimeout(None)
        except (OSError, ZeroDivisionError):
            client.close()
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for pair in ((client, server), (server, client)):
            threading.Thread(target=carry, args=pair, daemon=True).start()

    def accept():
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    listener = socket.create_server(listen, backlog=256)
    threading.Thread(target=accept, daemon=True).start()
