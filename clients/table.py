"""The table "call by client" in docs/clients.md, from what the programs of scripts/clients wrote.

    table.py --check|--write FOLDER DOCUMENT
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

BEGIN, END = "<!-- calls by client: written by scripts/clients --table -->", "<!-- calls by client: end -->"
# The file of each client's calls, and what the table calls it.
CLIENTS = {"python": "Python", "node": "Node", "go": "Go v7", "go-old": "Go v1", "rust": "Rust"}
APIS = ["TaskAgent", "Task", "Build", "Pipelines", "Core"]
ANSWERED, NOT_MODELLED, NOT_OFFERED = "answered", "501", "not offered"
MARKS = {ANSWERED: "✓", NOT_MODELLED: "501", NOT_OFFERED: "–"}
REFUSALS = {NOT_MODELLED: "refused by name", NOT_OFFERED: "not offered"}

# The Rust client names its calls otherwise: by what the other clients call the same one.
RUST = {
    "TaskAgent": {
        "pools.add": "add agent pool", "pools.get": "get agent pool", "pools.update": "update agent pool",
        "pools.delete": "delete agent pool", "queues.add": "add agent queue", "queues.get": "get agent queue",
        "queues.delete": "delete agent queue", "agents.list": "get agents", "agents.add": "add agent",
        "agents.get": "get agent", "agents.update": "update agent", "agents.delete": "delete agent",
    },
    "Task": {"logs.create": "create log", "records.update": "update records"},
    "Build": {
        "builds.list": "get builds", "builds.queue": "queue build", "builds.get": "get build",
        "builds.delete": "delete build", "timeline.get": "get build timeline", "latest.get": "get latest build",
        "definitions.list": "get definitions", "definitions.get": "get definition",
        "definitions.create": "create definition", "definitions.update": "update definition",
        "definitions.delete": "delete definition",
        "artifacts.list": "get artifacts", "stages.update": "update stage", "resource_usage.get": "get resource usage",
    },
    "Pipelines": {
        "pipelines.list": "list pipelines", "pipelines.get": "get pipeline", "runs.list": "list runs",
        "runs.get": "get run", "logs.list": "list logs", "logs.get": "get log", "artifacts.get": "get artifact",
        "pipelines.create": "create pipeline",
    },
    "Core": {
        "projects.list": "get projects", "projects.get": "get project", "projects.update": "update project",
        "projects.create": "queue create project", "projects.delete": "queue delete project",
        "teams.get": "get team", "teams.create": "create team", "teams.update": "update team",
        "teams.delete": "delete team", "processes.list": "get processes", "processes.get": "get process by id",
    },
}


def words(client, api, name):
    """A call's name as words, the same for each client."""
    if client == "rust":
        group, operation = name.split(".")
        # Only such words stand for what their group says.
        is_bare = operation in ("add", "create", "delete", "get", "list", "update")
        named = f"{operation} {group}" if is_bare else operation
        return RUST[api].get(name) or named.replace("_", " ")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("_", " ")


def read(folder):
    """Outcome by (API, call) and client."""
    calls = defaultdict(dict)
    for client in CLIENTS:
        for line in (folder / f"{client}.calls").read_text().splitlines():
            mark, *rest = line.split("\t")
            if mark == "call":
                api, name, outcome = rest
                call = calls[api, words(client, api, name)]
                assert client not in call, f"two calls of {client} have one name here: {api} {name}"
                call[client] = outcome
    return calls


def refusal(outcomes):
    """What a call that nobody is answered comes to: it is not offered only if no client is told that it is not modelled."""
    return NOT_MODELLED if NOT_MODELLED in outcomes.values() else NOT_OFFERED


def table(calls):
    """Calls that some client is answered, one a row; the others by their names."""
    lines = ["| call | " + " | ".join(CLIENTS.values()) + " |", "| --- |" + " --- |" * len(CLIENTS)]
    others = []
    for api in APIS:
        names = sorted(name for of, name in calls if of == api)
        answered = [name for name in names if ANSWERED in calls[api, name].values()]
        for name in answered:
            marks = [MARKS.get(calls[api, name].get(client), "") for client in CLIENTS]
            lines.append(f"| {api}: {name} | " + " | ".join(marks) + " |")
        for outcome, words in REFUSALS.items():
            left = [name for name in names if name not in answered and outcome == refusal(calls[api, name])]
            if left:
                others.append(f"- {api}, {words}, {len(left)} calls: {', '.join(left)}.")
    for outcome, words in {ANSWERED: "answered", **REFUSALS}.items():
        counts = [sum(1 for of in calls.values() if of.get(client) == outcome) for client in CLIENTS]
        lines.append(f"| calls {words} | " + " | ".join(map(str, counts)) + " |")
    return "\n".join([*lines, "", "All other calls:", "", *others])


def main():
    mode, folder, document = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    text = document.read_text()
    if BEGIN not in text or END not in text:
        sys.exit(f"{document} has no place for the table")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    now = f"{before}{BEGIN}\n{table(read(folder))}\n{END}{after}"
    if mode == "--write":
        document.write_text(now)
    elif now != text:
        sys.exit(f"{document} is not what the clients found: run scripts/clients --table")


if __name__ == "__main__":
    main()
