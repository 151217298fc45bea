# SPDX-License-Identifier: LGPL-2.1-or-later
"""A load generator in a process of its own, so that it and the test do not share an interpreter lock.

As a program it reads one JSON line of settings, keeps `connections` keep-alive connections busy until its standard
input ends, and prints one JSON line of results. A request fails if it gets no whole answer, or one whose status is not
expected. A connection that announced its close is reopened and is no failure.
"""
import json
import pathlib
import subprocess
import sys
import threading
import time

import client as mtls_client


class Load:
    def __init__(self, settings):
        self._process = subprocess.Popen([sys.executable, str(pathlib.Path(__file__).resolve())],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._process.stdin.write(json.dumps(settings) + "\n")
        self._process.stdin.flush()
        self.progress = 0
        self._results = None
        # The process says "started" when every connection has had its first answer.
        self._started = self._process.stdout.readline().strip()
        if self._started != "started":
            raise RuntimeError("the load generator did not start")

    def count(self):
        """Requests answered so far."""
        self._process.stdin.write("count\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def stop(self):
        """Ends the load and returns {requests, failures, statuses, connects, first_failures, seconds}."""
        if self._results is None:
            out, _ = self._process.communicate(timeout=120)
            self._results = json.loads(out.splitlines()[-1])
        return self._results

    def kill(self):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if not pipe.closed:
                pipe.close()


class Worker(threading.Thread):
    def __init__(self, settings, context, stop):
        super().__init__(daemon=True)
        self.settings, self.context, self.stop = settings, context, stop
        self.requests = self.failures = self.connects = 0
        self.statuses, self.messages = {}, []
        self.answered_once = threading.Event()

    def run(self):
        settings = self.settings
        body = settings.get("body")
        client = mtls_client.Client(settings["host"], settings["port"], self.context, timeout=settings["timeout"])
        while not self.stop.is_set():
            try:
                status, _, _ = client.request(settings["method"], settings["path"],
                                              body=body.encode() if body else None, headers=settings["headers"])
                self.statuses[status] = self.statuses.get(status, 0) + 1
                failed = status not in settings["expect"]
                message = f"status {status}"
            except Exception as error:  # whatever breaks is a lost request
                failed, message = True, repr(error)
                if self.failures > 100:
                    break
            self.requests += 1
            if failed:
                self.failures += 1
                if len(self.messages) < 3:
                    self.messages.append(message)
            self.answered_once.set()
            if settings["pause"]:
                self.stop.wait(settings["pause"])
        self.connects = client.connects
        client.close()


def main():
    settings = json.loads(sys.stdin.readline())
    context = mtls_client.make_context(settings["ca"], settings["pair"], settings["version"])
    stop = threading.Event()
    workers = [Worker(settings, context, stop) for _ in range(settings["connections"])]
    started = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.answered_once.wait(settings["timeout"])
    print("started", flush=True)
    for _ in sys.stdin:
        print(sum(worker.requests for worker in workers), flush=True)
    stop.set()
    for worker in workers:
        worker.join(settings["timeout"] + 5)
    statuses = {}
    for worker in workers:
        for status, count in worker.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    print(json.dumps({
        "requests": sum(worker.requests for worker in workers),
        "failures": sum(worker.failures + worker.is_alive() for worker in workers),
        "statuses": statuses,
        "connects": sum(worker.connects for worker in workers),
        "first_failures": [message for worker in workers for message in worker.messages][:5],
        "seconds": time.monotonic() - started,
    }))


if __name__ == "__main__":
    main()
