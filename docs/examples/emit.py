#!/usr/bin/env python3
"""Emits a small run: created, started, two steps, completed. Needs `pip install nats-py`.

RUNLEDGER_NATS_URL  where NATS is (nats://127.0.0.1:4222 if unset)
RUNLEDGER_ORG_ID    the org whose run it is, as `runledger org list` shows it
"""

import asyncio
import json
import os
import uuid
from datetime import datetime, timezone
from urllib.parse import quote

import nats
from nats.js.errors import APIError, NoStreamResponseError

# CloudEvents has everything percent-encoded in headers but printable ASCII without space, " and %.
PLAIN = "!#$&'()*+,/:;<=>?@[\\]^`{|}"


class Run:
    """The events of one run, each counted and sent until the stream has it."""

    def __init__(self, jetstream, org_id, source):
        self.jetstream = jetstream
        self.org_id = org_id
        self.source = source
        self.run_id = str(uuid.uuid4())
        self.sequence = 0

    async def emit(self, event_type, data):
        event_id = str(uuid.uuid4())
        self.sequence += 1
        attributes = {
            "specversion": "1.0",
            "id": event_id,
            "source": self.source,
            "type": event_type,
            "subject": self.run_id,
            "time": datetime.now(timezone.utc).isoformat(),
            "dataschema": f"urn:runledger:{event_type}:1",
            "orgid": self.org_id,
            "sequence": f"{self.sequence:010}",
        }
        headers = {f"ce-{name}": quote(value, safe=PLAIN) for name, value in attributes.items()}
        headers["Content-Type"] = "application/json"
        headers["Nats-Msg-Id"] = f"{self.org_id}:{event_id}"
        subject = f"runledger.events.{self.org_id}.{event_type}"
        await self.publish(subject, json.dumps(data).encode(), headers)

    async def publish(self, subject, payload, headers):
        """The same id every time: what arrives twice is taken once."""
        for pause in (0.1, 0.5, 2, 5, None):
            try:
                return await self.jetstream.publish(subject, payload, headers=headers, timeout=5)
            except (asyncio.TimeoutError, NoStreamResponseError, APIError) as error:
                # 400 and its kind stay so; a full stream or a server that restarts does not.
                passing = not isinstance(error, APIError) or error.code == 503
                if pause is None or not passing:
                    raise
                await asyncio.sleep(pause)


async def main():
    # The org in the subject is lower case, whatever case it is given in.
    org_id = str(uuid.UUID(os.environ["RUNLEDGER_ORG_ID"]))
    url = os.environ.get("RUNLEDGER_NATS_URL", "nats://127.0.0.1:4222")
    connection = await nats.connect(url)
    run = Run(connection.jetstream(), org_id, "/examples/emit.py")

    await run.emit("run.created", {"channel": "web", "external_id": "claim-20931"})
    await run.emit("run.started", {"context": {"payer": "Blue Harbor"}})
    for number, label in enumerate(["Sign in", "Look up the member"], start=1):
        step_id = str(uuid.uuid4())
        metadata = {"label": label}
        await run.emit("step.started", {"step_id": step_id, "attempt": 0, "step_number": number, "metadata": metadata})
        await run.emit("step.completed", {"step_id": step_id, "attempt": 0, "output_data": {"ok": True}})
    await run.emit("run.completed", {"context": {"eligible": True}})

    await connection.close()
    print(f"run {run.run_id}: {run.sequence} events are on the stream")


if __name__ == "__main__":
    asyncio.run(main())
