"""What a task says of itself on its --metrics_port."""

import re
import urllib.error
import urllib.request



def fetch(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.read().decode()


def health(port):
    """"" while nobody answers."""
    try:
        return fetch(port, "/healthz")
    except (urllib.error.URLError, ConnectionError):
        return ""


def metrics(port):
    """{"name" or 'name{label="value"}': number}; empty while nobody answers."""
    if not health(port):
        return {}
    found = {}
    for line in fetch(port, "/metrics").splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            found[name] = float(value)
    return found


def metric(port, name):
    """0 while there is none."""
    return metrics(port).get(name, 0)


def kinds(port):
    """{name: "counter", "gauge" or "histogram"}"""
    return dict(re.findall(r"^# TYPE (\w+) (\w+)$", fetch(port, "/metrics"), re.MULTILINE))
