"""Plays an agent, so that builds come to something: by the client's own way to send any call by its location's id."""

import json
import time

from azure.devops.v7_1.task_agent.models import TaskAgent

SESSIONS = "134e239e-2df3-4794-a6f6-24f1f19ec8dc"
MESSAGES = "c3a054f6-7a8a-49c0-944e-3a8e5d7adfd7"
EVENTS = "557624af-b29e-4c20-8ab0-0399d2204f3f"
# How long a job may take to come, in seconds.
PATIENCE = 300


class Agent:
    """A registered agent with a session."""

    def __init__(self, task_agent, client, pool, name, capabilities):
        agent = TaskAgent(
            name=name, version="4.258.1", max_parallelism=1, enabled=True, system_capabilities=capabilities
        )
        self.registered = task_agent.add_agent(agent, pool)
        self._client = client
        self._pool = {"poolId": pool}
        session = {
            "sessionId": "00000000-0000-0000-0000-000000000000",
            "ownerName": name,
            "agent": {"id": self.registered.id, "name": name, "version": "4.258.1"},
            "systemCapabilities": capabilities,
        }
        self._session = self._send("POST", SESSIONS, content=session).json()["sessionId"]

    def take_job(self):
        """Waits for a job, and takes it."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            message = self._send("GET", MESSAGES, query={"sessionId": self._session})
            if message.status_code != 202 and message.content:
                message = message.json()
                route = {"messageId": message["messageId"]}
                self._send("DELETE", MESSAGES, route=route, query={"sessionId": self._session})
                if message["messageType"] == "PipelineAgentJobRequest":
                    return json.loads(message["body"])
        raise AssertionError("no job came")

    def complete(self, job, result):
        """Says that a job is over."""
        event = {"name": "JobCompleted", "jobId": job["jobId"], "requestId": job["requestId"], "result": result}
        plan = job["plan"]
        route = {"scopeIdentifier": plan["scopeIdentifier"], "hubName": "Build", "planId": plan["planId"]}
        self._send("POST", EVENTS, route=route, content=event)

    def leave(self):
        """Ends the session; the registration stays."""
        self._send("DELETE", SESSIONS, route={"sessionId": self._session})

    def _send(self, method, location, route=None, query=None, content=None):
        return self._client._send(
            method, location, "7.1-preview.1", {**self._pool, **(route or {})}, query, content
        )
