"""Every call of the official Python client for pools, agents, queues, definitions, builds, pipelines and projects, against
`poolproof serve`. scripts/clients starts both."""

import os

from azure.devops.connection import Connection
from msrest.authentication import BasicAuthentication

import builds
import made
import pools
from agent import Agent
from recorded import PROJECT, Recorded, equal


def main():
    credentials = BasicAuthentication("", os.environ["POOLPROOF_TOKEN"])
    connection = Connection(base_url=os.environ["POOLPROOF_URL"], creds=credentials)
    connection.authenticate()
    clients = connection.clients_v7_1
    raw = clients.get_task_agent_client()
    task_agent = Recorded("TaskAgent", raw)
    build = Recorded("Build", clients.get_build_client())
    pipelines = Recorded("Pipelines", clients.get_pipelines_client())
    core = Recorded("Core", clients.get_core_client())
    task = Recorded("Task", clients.get_task_client())

    pool = pools.pools(task_agent)
    pools.agents(task_agent, pool)
    pools.queues(task_agent, pool)
    projects(core)
    made.projects(core, clients.get_operations_client())

    by_name = builds.definitions(build)
    made.builds_of(build, made.definitions(build, task_agent, pool))
    made.pipelines(pipelines, build)
    cancelled = builds.queued_and_cancelled(build, by_name[builds.ONE_JOB])
    agent = Agent(task_agent, raw, pool, "python-agent", {"Agent.Name": "python-agent", "java": "21"})
    succeeded = builds.run_by_an_agent(build, task, agent, by_name[builds.ONE_JOB])
    last = task_agent.get_agent(pool, agent.registered.id, include_last_completed_request=True)
    equal((last.status, last.last_completed_request.result), ("online", "succeeded"), "the agent's last request")
    agent.leave()
    builds.lists(build, by_name, cancelled, succeeded)
    builds.pipelines_and_runs(pipelines, build, by_name[builds.ONE_JOB], succeeded)
    made.archives(build, succeeded.id, builds.LINES)
    builds.marks(build, succeeded, by_name[builds.THREE_JOBS])
    builds.usage(build, agents=len(task_agent.get_agents(pool)))
    builds.deleted(build, cancelled)

    for recorded in (task_agent, build, pipelines, core):
        recorded.refuse_the_rest()
    for recorded in (task_agent, build, pipelines, core, task):
        recorded.report()


def projects(core):
    listed = core.get_projects(state_filter="wellFormed", top=10)
    equal(sorted(pools.names(listed)), ["poolproof", PROJECT], "projects")
    by_name = core.get_project(PROJECT)
    equal((by_name.name, by_name.state, by_name.visibility), (PROJECT, "wellFormed", "private"), "project")
    equal(core.get_project(by_name.id, include_capabilities=True).name, PROJECT, "project by its id")
    pools.refused("ProjectDoesNotExistWithNameException", core.get_project, "nobody")


if __name__ == "__main__":
    main()
