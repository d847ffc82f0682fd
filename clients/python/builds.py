"""Definitions, builds, their timelines and logs, pipelines and runs: BuildClient, PipelinesClient, and TaskClient for
what an agent writes of a job."""

import io

from azure.devops._models import VssJsonCollectionWrapper
from azure.devops.v7_1.build.models import Build, UpdateStageParameters
from azure.devops.v7_1.pipelines.models import RunPipelineParameters
from azure.devops.v7_1.task.models import TaskLog, TimelineRecord

from pools import names, refused
from recorded import PROJECT, equal

# The definitions of scripts/clients, and what they are made of.
ONE_JOB = "compile"
THREE_JOBS = "fan-out"
LINES = ["first line", "second line", "third line"]


def definitions(build):
    all_of_them = build.get_definitions(PROJECT)
    equal(sorted(names(all_of_them)), [ONE_JOB, THREE_JOBS], "definitions")
    found = build.get_definitions(PROJECT, name=ONE_JOB)
    equal((names(found), found[0].project.name, found[0].queue_status), ([ONE_JOB], PROJECT, "enabled"), "by name")
    equal(len(build.get_definitions(PROJECT, definition_ids=[one.id for one in all_of_them])), 2, "by ids")
    equal(len(build.get_definitions(PROJECT, top=1)), 1, "the first")
    read = build.get_definition(PROJECT, found[0].id)
    equal((read.id, read.name, read.path, read.type), (found[0].id, ONE_JOB, "\\", "build"), "definition")
    refused("DefinitionNotFoundException", build.get_definition, PROJECT, 4711)
    return {one.name: one.id for one in all_of_them}


def queue(build, definition, **named):
    return build.queue_build(Build(definition={"id": definition}, **named), PROJECT)


def queued_and_cancelled(build, definition):
    queued = queue(build, definition, source_branch="refs/heads/python", parameters='{"system.debug":"true"}')
    equal((queued.status, queued.result, queued.reason), ("notStarted", None, "manual"), "queued")
    equal((queued.definition.id, queued.project.name), (definition, PROJECT), "its definition")
    equal((queued.source_branch, queued.start_time), ("refs/heads/python", None), "its branch")
    read = build.get_build(PROJECT, queued.id)
    equal((read.build_number, read.queue_time), (queued.build_number, queued.queue_time), "read back")
    equal((read.source_branch, read.parameters), ("refs/heads/python", '{"system.debug":"true"}'), "read back")

    cancelled = build.update_build(Build(id=queued.id, status="cancelling"), PROJECT, queued.id)
    equal(cancelled.id, queued.id, "cancelled")
    read = build.get_build(PROJECT, queued.id)
    equal((read.status, read.result), ("completed", "canceled"), "cancelled, read back")
    assert read.finish_time >= read.queue_time, "it ends after it began"
    return queued


def run_by_an_agent(build, task, agent, definition):
    """A build from its first to its last moment, as its agent writes it and as its readers see it."""
    queued = queue(build, definition)
    job = agent.take_job()
    started = build.get_build(PROJECT, queued.id)
    equal((started.status, started.result), ("inProgress", None), "started")
    equal(job["variables"]["build.buildId"]["value"], str(queued.id), "the build of the job")

    plan, timeline, job_id = job["plan"], job["timeline"]["id"], job["jobId"]
    where = (plan["scopeIdentifier"], "Build", plan["planId"])
    log = task.create_log(TaskLog(path=f"logs\\{job_id}"), *where)
    text = "".join(line + "\n" for line in LINES)
    appended = task.append_log_content(io.BytesIO(text.encode()), *where, log.id)
    equal((appended.id, appended.line_count), (log.id, len(LINES)), "log")
    equal(task.get_log(*where, log.id), LINES, "log read back")
    equal([one.id for one in task.get_logs(*where)], [log.id], "logs")
    record = TimelineRecord(
        id=job_id, type="Job", name="compile", state="inProgress", worker_name="python-agent", log=TaskLog(id=log.id)
    )
    written = task.update_records(VssJsonCollectionWrapper(count=1, value=[record.serialize()]), *where, timeline)
    equal((written[0].id, written[0].worker_name), (job_id, "python-agent"), "record")
    records = {one.id: one for one in task.get_records(*where, timeline)}
    equal((records[job_id].state, records[job_id].log.id), ("inProgress", log.id), "record read back")
    equal(task.get_timeline(*where, timeline, include_records=True).id, timeline, "timeline")
    equal([one.id for one in task.get_timelines(*where)], [timeline], "timelines")
    agent.complete(job, "succeeded")

    ended = build.get_build(PROJECT, queued.id)
    equal((ended.status, ended.result), ("completed", "succeeded"), "ended")
    assert ended.queue_time <= ended.start_time <= ended.finish_time, "its times are in order"
    read = build.get_build_timeline(PROJECT, queued.id)
    jobs = [record for record in read.records if record.type == "Job"]
    equal([(one.worker_name, one.state, one.result) for one in jobs], [("python-agent", "completed", "succeeded")], "job")
    by_id = build.get_build_timeline(PROJECT, queued.id, timeline_id=read.id)
    equal(len(by_id.records), len(read.records), "timeline by its id")
    logs(build, queued.id, jobs[0].log.id)
    return queued


def logs(build, build_id, log):
    all_of_them = build.get_build_logs(PROJECT, build_id)
    lines = {one.id: one.line_count for one in all_of_them}
    equal(lines[log], len(LINES), "lines of the log")
    text = b"".join(build.get_build_log(PROJECT, build_id, log)).decode().splitlines()
    equal(text, LINES, "log as text")
    equal(build.get_build_log_lines(PROJECT, build_id, log), LINES, "log as lines")
    equal(build.get_build_log_lines(PROJECT, build_id, log, start_line=2, end_line=3), LINES[1:], "part of a log")


def lists(build, definitions_by_name, cancelled, succeeded):
    one_job, three_jobs = definitions_by_name[ONE_JOB], definitions_by_name[THREE_JOBS]

    def ids(**named):
        return [one.id for one in build.get_builds(PROJECT, **named)]

    everything = ids(query_order="queueTimeDescending")
    equal(everything, sorted(everything, reverse=True), "newest first")
    equal(ids(query_order="queueTimeAscending"), everything[::-1], "oldest first")
    equal(ids(build_ids=[cancelled.id, succeeded.id], query_order="queueTimeAscending"), [cancelled.id, succeeded.id], "ids")
    equal(ids(build_number=cancelled.build_number), [cancelled.id], "by number")
    equal(ids(result_filter="succeeded"), [succeeded.id], "by result")
    equal(ids(status_filter="notStarted"), [], "by status")
    equal(set(ids(status_filter="all")), set(everything), "by all states")
    equal(ids(branch_name="refs/heads/python"), [cancelled.id], "by branch")
    equal(ids(reason_filter="schedule"), [], "by reason")
    equal(set(ids(definitions=[one_job, three_jobs])), set(everything), "by definitions")
    equal(ids(max_builds_per_definition=1, definitions=[one_job]), [max(ids(definitions=[one_job]))], "one each")
    equal(ids(min_time=succeeded.queue_time, query_order="queueTimeAscending")[0], succeeded.id, "since")
    equal(max(ids(max_time=cancelled.queue_time, query_order="queueTimeAscending")), cancelled.id, "until")
    # The client gives no continuation token away; a page is as long as asked for.
    equal(ids(top=2, query_order="queueTimeDescending"), everything[:2], "first page")

    latest = build.get_latest_build(PROJECT, ONE_JOB)
    assert latest.status == "completed", "the latest build is one that is over"


def marks(build, one, definition):
    """Tags, and what a build of the fake never has."""
    equal(build.add_build_tag(PROJECT, one.id, "nightly"), ["nightly"], "tag")
    equal(sorted(build.add_build_tags(["linux", "slow"], PROJECT, one.id)), ["linux", "nightly", "slow"], "tags")
    equal(sorted(build.delete_build_tag(PROJECT, one.id, "slow")), ["linux", "nightly"], "tag deleted")
    equal(sorted(build.get_build_tags(PROJECT, one.id)), ["linux", "nightly"], "tags read back")
    equal([other.id for other in build.get_builds(PROJECT, tag_filters=["nightly"])], [one.id], "by tag")
    equal(build.get_artifacts(PROJECT, one.id), [], "artifacts")
    refused("VssResourceNotFoundException", build.get_artifact, PROJECT, one.id, "drop")
    refused("VssResourceNotFoundException", build.get_file, PROJECT, one.id, "drop", "1", "a.txt")
    equal(build.get_build_changes(PROJECT, one.id), [], "changes")
    equal(build.get_build_work_items_refs(PROJECT, one.id), [], "work items")
    # A build has one stage if its definition names none; to cancel it is to cancel the build.
    queued = queue(build, definition)
    build.update_stage(UpdateStageParameters(state="cancel"), queued.id, "__default", project=PROJECT)
    equal(build.get_build(PROJECT, queued.id).result, "canceled", "cancelled by its stage")


def usage(build, agents):
    found = build.get_resource_usage()
    equal((found.distributed_task_agents, found.total_usage), (agents, 0), "usage")


def deleted(build, one):
    build.delete_build(PROJECT, one.id)
    refused("BuildNotFoundException", build.get_build, PROJECT, one.id)
    assert one.id not in [other.id for other in build.get_builds(PROJECT)], "a deleted build is in no list"


def pipelines_and_runs(pipelines, build, definition, with_logs):
    listed = {one.name: one for one in pipelines.list_pipelines(PROJECT)}
    equal(sorted(listed), [ONE_JOB, THREE_JOBS], "pipelines")
    equal(len(pipelines.list_pipelines(PROJECT, top=1, order_by="name asc")), 1, "the first pipeline")
    read = pipelines.get_pipeline(PROJECT, definition)
    equal((read.id, read.name, read.folder, read.revision), (definition, ONE_JOB, "\\", 1), "pipeline")

    parameters = RunPipelineParameters(
        resources={"repositories": {"self": {"refName": "refs/heads/main"}}}, variables={"colour": {"value": "red"}}
    )
    run = pipelines.run_pipeline(parameters, PROJECT, definition)
    equal((run.state, run.result, run.pipeline.id), ("inProgress", None, definition), "run")
    equal(build.get_build(PROJECT, run.id).build_number, run.name, "a run is a build")
    build.update_build(Build(status="cancelling"), PROJECT, run.id)
    read = pipelines.get_run(PROJECT, definition, run.id)
    equal((read.name, read.state, read.result), (run.name, "completed", "canceled"), "run read back")
    assert read.finished_date >= read.created_date, "it ends after it began"
    runs = pipelines.list_runs(PROJECT, definition)
    equal(runs[0].id, run.id, "the newest run is first")

    preview = pipelines.preview(RunPipelineParameters(preview_run=True), PROJECT, definition)
    assert "name: keda-pool" in preview.final_yaml, preview.final_yaml
    equal(pipelines.list_runs(PROJECT, definition)[0].id, run.id, "a preview is no run")
    listed = pipelines.list_logs(PROJECT, definition, with_logs.id).logs
    log = pipelines.get_log(PROJECT, definition, with_logs.id, listed[0].id)
    equal((log.id, log.line_count), (listed[0].id, listed[0].line_count), "log of a run")
