#!/usr/bin/env python3
"""A worker in Python, with nothing but its standard library.

Settings: QUEUE_URL, QUEUE, LEASE_MS, WORKER, API_KEY. Put your work into `handle`.
"""

import json
import os
import random
import signal
import socket
import threading
import time
import urllib.error
import urllib.request

BASE = f"{os.environ.get('QUEUE_URL', 'http://127.0.0.1:7403')}/v1/queues/{os.environ.get('QUEUE', 'demo')}"
LEASE_MS = int(os.environ.get("LEASE_MS", "30000"))
WORKER = os.environ.get("WORKER", f"{socket.gethostname()}:{os.getpid()}")


def handle(job):
    """Does one job: what it returns is the result, what it raises fails the attempt."""
    data = job["data"]
    time.sleep(data.get("seconds", 0))
    if "fail" in data:
        raise ValueError(data["fail"])
    return {"greeting": f"hello {data.get('name', 'world')}"}


class Stop(Exception):
    """SIGTERM, raised wherever the main thread is."""


def stop(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stop


def post(verb, body):
    headers = {"content-type": "application/json"}
    if "API_KEY" in os.environ:
        headers["authorization"] = f"Bearer {os.environ['API_KEY']}"
    request = urllib.request.Request(f"{BASE}:{verb}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def lease_of(job):
    return {"id": job["id"], "token": job["token"]}


def keep(job, done):
    """Renews the lease until the job is done; runs in a thread beside the work."""
    while not done.wait(LEASE_MS / 3000):
        try:
            post("renew", {"leases": [{**lease_of(job), "leaseMs": LEASE_MS}]})
        except (OSError, ValueError) as error:
            # 409: somebody else has it now, and what we say of it will not be heard.
            if isinstance(error, urllib.error.HTTPError) and error.code == 409:
                return


def outcome_of(job):
    done = threading.Event()
    threading.Thread(target=keep, args=(job, done), daemon=True).start()
    try:
        return {"acks": [{**lease_of(job), "result": handle(job)}]}
    except Stop:
        raise
    except Exception as error:
        return {"fails": [{**lease_of(job), "error": {"type": type(error).__name__, "message": str(error)}}]}
    finally:
        done.set()


def main():
    signal.signal(signal.SIGTERM, stop)
    outcome, held, failures = {}, [], 0
    try:
        while True:
            ask = {"max": 1, "leaseMs": LEASE_MS, "worker": WORKER, "waitMs": 20_000}
            try:
                held = post("next", {**outcome, **ask})["jobs"]
            except (OSError, ValueError):
                # The outcome is told again, until somebody hears it.
                failures = min(failures + 1, 5)
                time.sleep(random.uniform(0.1, 2**failures))
                continue
            outcome, failures = {}, 0
            for job in held:
                outcome = outcome_of(job)
            held = []
    except Stop:
        # What is finished is told, what is not is given back.
        if held and not outcome:
            outcome = {"releases": [lease_of(job) for job in held]}
        if outcome:
            try:
                post("ack", outcome)
            except OSError:
                pass  # Told already, or somebody else's by now.


if __name__ == "__main__":
    main()
