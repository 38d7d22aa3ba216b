"""Servers on loopback that say anything, and a cache of its own for each test."""

import socket
import threading

import pytest


@pytest.fixture
def listening():
    """Return a function that listens on a free port and calls ``handle(connection, request)`` for each request."""
    stop, listeners = threading.Event(), []

    def listen(handle):
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        listeners.append(listener)

        def one(connection):
            with connection:
                try:
                    request = b""
                    while b"\r\n\r\n" not in request:
                        more = connection.recv(65536)
                        if not more:
                            return
                        request += more
                    handle(connection, request.decode("latin-1"))
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # the client went away

        def accept():
            while not stop.is_set():
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return listener.getsockname()[1]

    yield listen
    stop.set()
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
