"""Pools, agents, queues: what TaskAgentClient has of them."""

from azure.devops.exceptions import AzureDevOpsServiceError
from azure.devops.v7_1.task_agent.models import TaskAgent, TaskAgentPool, TaskAgentPoolReference, TaskAgentQueue

from recorded import PROJECT, equal

# The pool of scripts/clients, with an agent that was registered once and is offline.
SHARED = "keda-pool"
PLACEHOLDER = "java-template"


def names(things):
    return [thing.name for thing in things]


def refused(type_key, call, *arguments, **named):
    """The call must fail, and say why by the key that clients look at."""
    try:
        answer = call(*arguments, **named)
    except AzureDevOpsServiceError as error:
        equal(error.type_key, type_key, str(error))
        return
    raise AssertionError(f"no {type_key} but {answer}")


def pools(task_agent):
    made = task_agent.add_agent_pool(TaskAgentPool(name="python", auto_provision=False, pool_type="automation"))
    equal((made.name, made.pool_type, made.size, made.is_hosted), ("python", "automation", 0, False), "pool")
    refused("TaskAgentPoolExistsException", task_agent.add_agent_pool, TaskAgentPool(name="PYTHON"))

    renamed = task_agent.update_agent_pool(TaskAgentPool(name="python pool", auto_update=False), made.id)
    equal((renamed.id, renamed.name, renamed.auto_update), (made.id, "python pool", False), "updated pool")
    read = task_agent.get_agent_pool(made.id, action_filter="manage")
    equal((read.name, read.auto_update, read.auto_provision), ("python pool", False, False), "pool read back")
    equal(read.created_on, made.created_on, "created on")

    assert {SHARED, "python pool"} <= set(names(task_agent.get_agent_pools())), "all pools"
    equal(names(task_agent.get_agent_pools(pool_name="Python Pool", pool_type="automation")), ["python pool"], "by name")
    equal(names(task_agent.get_agent_pools(pool_type="deployment")), [], "deployment pools")
    shared = task_agent.get_agent_pools(pool_name=SHARED)[0]
    by_ids = task_agent.get_agent_pools_by_ids([made.id, shared.id])
    equal(sorted(names(by_ids)), sorted([SHARED, "python pool"]), "by ids")

    task_agent.delete_agent_pool(made.id)
    refused("TaskAgentPoolNotFoundException", task_agent.get_agent_pool, made.id)
    return shared.id


def agents(task_agent, pool):
    given = TaskAgent(
        name="python-1",
        version="4.258.1",
        os_description="Linux",
        max_parallelism=1,
        enabled=True,
        provisioning_state="Provisioned",
        system_capabilities={"Agent.Name": "python-1", "maven": "3.9"},
    )
    made = task_agent.add_agent(given, pool)
    equal((made.name, made.version, made.status), ("python-1", "4.258.1", "offline"), "agent")
    refused("TaskAgentExistsException", task_agent.add_agent, given, pool)

    # Members are there only for whoever asks.
    plain = task_agent.get_agent(pool, made.id)
    equal((plain.os_description, plain.system_capabilities, plain.user_capabilities), ("Linux", None, None), "plain")
    full = task_agent.get_agent(
        pool, made.id, include_capabilities=True, include_assigned_request=True, include_last_completed_request=True
    )
    equal(full.system_capabilities, given.system_capabilities, "capabilities")
    equal((full.assigned_request, full.last_completed_request), (None, None), "requests of an agent without any")

    equal(sorted(names(task_agent.get_agents(pool))), [PLACEHOLDER, "python-1"], "all agents")
    equal(names(task_agent.get_agents(pool, agent_name="PYTHON-1")), ["python-1"], "by name")
    equal(names(task_agent.get_agents(pool, demands=["maven"])), ["python-1"], "by a demand")
    equal(names(task_agent.get_agents(pool, demands=["java -equals 17"])), [PLACEHOLDER], "by a value")
    equal(names(task_agent.get_agents(pool, demands=["maven", "java"])), [], "by both")
    found = task_agent.get_agents(pool, agent_name=PLACEHOLDER, include_capabilities=True)[0]
    equal((found.status, found.system_capabilities["java"]), ("offline", "17"), "placeholder")

    changed = task_agent.update_agent(TaskAgent(id=made.id, enabled=False), pool, made.id)
    equal((changed.enabled, changed.version), (False, "4.258.1"), "disabled")
    equal(task_agent.get_agent(pool, made.id).enabled, False, "disabled, read back")
    given.version, given.system_capabilities = "4.259.0", {"Agent.Name": "python-1"}
    replaced = task_agent.replace_agent(given, pool, made.id)
    equal((replaced.id, replaced.version), (made.id, "4.259.0"), "replaced")
    full = task_agent.get_agent(pool, made.id, include_capabilities=True)
    equal(full.system_capabilities, {"Agent.Name": "python-1"}, "capabilities of the replaced")

    task_agent.delete_agent(pool, made.id)
    refused("TaskAgentNotFoundException", task_agent.get_agent, pool, made.id)


def queues(task_agent, pool):
    made_pool = task_agent.add_agent_pool(TaskAgentPool(name="python-queue", auto_provision=False))
    reference = TaskAgentPoolReference(id=made_pool.id)
    made = task_agent.add_agent_queue(
        TaskAgentQueue(name="python-queue", pool=reference), project=PROJECT, authorize_pipelines=True
    )
    equal((made.name, made.pool.id, made.pool.name), ("python-queue", made_pool.id, "python-queue"), "queue")
    read = task_agent.get_agent_queue(made.id, project=PROJECT, action_filter="use")
    equal((read.id, read.pool.id, read.project_id), (made.id, made_pool.id, made.project_id), "queue read back")
    equal(names(task_agent.get_agent_queues(project=PROJECT, queue_name="python-queue")), ["python-queue"], "by name")
    assert {"python-queue", SHARED} <= set(names(task_agent.get_agent_queues(project=PROJECT))), "all queues"
    equal(names(task_agent.get_agent_queues_by_ids([made.id], project=PROJECT)), ["python-queue"], "by ids")
    by_names = task_agent.get_agent_queues_by_names([SHARED, "python-queue"], project=PROJECT)
    equal(sorted(names(by_names)), [SHARED, "python-queue"], "by names")
    for_pools = task_agent.get_agent_queues_for_pools([pool], project=PROJECT)
    equal([queue.pool.id for queue in for_pools], [pool], "for pools")
    task_agent.delete_agent_queue(made.id, project=PROJECT)
    equal(names(task_agent.get_agent_queues_by_ids([made.id], project=PROJECT)), [], "deleted")
    task_agent.delete_agent_pool(made_pool.id)
