# SPDX-License-Identifier: Apache-2.0
"""Clients whose reset comes together with what they asked for."""
import os
import signal

from hg import *
from hg.h2 import H2Client
from hg.origin import Blackhole
from plays import SIMPLE


def start():
    text = SIMPLE + "config: {backend: {connectTimeout: 300s}}\n"
    return Gateway(text, origin=Blackhole(), workers=1)


class Asleep:
    """The gateway sees what is done meanwhile at once, in one event for each connection."""

    def __init__(self, gateway):
        self.gateway = gateway

    def __enter__(self):
        self.gateway.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.gateway.pid, os.WSTOPPED)

    def __exit__(self, *exception):
        self.gateway.signal(signal.SIGCONT)


def expect_taken_back(gateway, count):
    def all_over():
        metrics = gateway.metrics()
        return (metrics("headgate_stream_end_total", reason="client_rst"),
                metrics("headgate_downstream_connections_open")) == (count, 0)
    wait_until(all_over, 10, f"{count} ends by reset, and no connection")
    eq(gateway.streams(), [], "streams that run")
    eq(gateway.metrics()("headgate_upstream_connects_total"), 0, "connections to the backend that were begun")


@test("a reset that comes together with a request of HTTP/1 takes it back: no attempt begins")
def http1():
    gateway = start()
    clients = [gateway.client() for _ in range(5)]
    wait_until(lambda: gateway.metrics()("headgate_downstream_connections_open") == 5, 5, "the clients")
    with Asleep(gateway):
        for number, client in enumerate(clients):
            client.send("GET /one HTTP/1.1\r\nHost: x\r\n", "X-More: 1\r\n\r\n" * (number != 4))
            if number == 1:
                client.send("GET /two HTTP/1.1\r\nHost: x\r\n\r\n")
            if number == 2:
                client.send("POST /three HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
            client.rst()
    expect_taken_back(gateway, 5)


@test("a reset before the connection was accepted takes its request back")
def before_accept():
    gateway = start()
    with Asleep(gateway):
        for _ in range(5):
            gateway.client().request("GET", "/").rst()
    expect_taken_back(gateway, 5)


@test("a reset that comes together with requests of HTTP/2 takes them back: no attempt begins")
def http2():
    gateway = start()
    clients = [H2Client(gateway.port) for _ in range(3)]
    for client in clients:
        client.ping()
    with Asleep(gateway):
        for client in clients:
            for _ in range(20):
                client.request("/")
            client.raw.rst()
    expect_taken_back(gateway, 3)
