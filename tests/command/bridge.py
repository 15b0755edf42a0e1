"""A connector to FakePlatform as somebody would write it who knows nothing of this project but the protocol.

`python bridge.py HOST:PORT [keys]`: lines out are events, lines in are acknowledgements and outgoings. With `keys` the
platform is told the outgoings' keys, by which it knows a repetition.
"""

import http.client
import json
import sys
import threading
from typing import Any

WORDS = {200: "sent", 400: "rejected", 401: "auth"}
printing = threading.Lock()
shown: set[str] = set()
changed = threading.Event()


def ask(path: str, body: object = None, **headers: str) -> tuple[int, http.client.HTTPMessage, dict[str, Any]]:
    connection = http.client.HTTPConnection(sys.argv[1], timeout=60)
    data = None if body is None else json.dumps(body)
    connection.request("GET" if data is None else "POST", path, data, headers)
    answer = connection.getresponse()
    found = json.loads(answer.read())
    connection.close()
    return answer.status, answer.headers, found


def say(**line: object) -> None:
    with printing:
        print(json.dumps(line), flush=True)


def send(key: str, outgoing: dict[str, Any]) -> None:
    body = {"conversation": outgoing["conversation_id"], "text": outgoing["text"], "thread": outgoing.get("thread_id")}
    try:
        status, headers, found = ask("/send", body, **({"Idempotency-Key": key} if "keys" in sys.argv else {}))
    except (OSError, http.client.HTTPException) as error:
        say(retry=key, reason=str(error), ambiguous=True)
        return
    if status == 200:
        say(sent=key, ids=[found["id"]])
    elif status == 429:
        say(retry=key, after_s=float(headers["Retry-After"]))
    else:
        say(**{WORDS.get(status, "retry"): key}, reason=found["error"])


def listen() -> None:
    for text in sys.stdin:
        line = json.loads(text)
        if "ack" in line:
            ask("/ack", {"ids": [line["ack"]]})
            shown.discard(line["ack"])
            changed.set()
        elif "send" in line:
            threading.Thread(target=send, args=(line["send"], line["outgoing"]), daemon=True).start()


threading.Thread(target=listen, daemon=True).start()
while True:
    changed.clear()
    updates = ask("/updates?wait_s=1")[2]["events"]
    fresh = [event for event in updates if event["id"] not in shown]
    for event in fresh:
        shown.add(event["id"])
        say(
            id=event["id"],
            sender={"id": event["sender"]},
            content={"text": event["text"]},
            conversation={"id": event["conversation"]},
            ack=event["id"],
        )
    if updates and not fresh:
        changed.wait(0.1)
