//! Faults over the control route: every kind, hit and not hit.

use std::time::Duration;

use azure_devops::wire::{JobMessage, MessageEnvelope};
use model::Fact;
use model::event::JobResult;
use serde_json::{Value, json};

use crate::client::{Answer, Served, TOKEN, basic};

const POOL: &str = "_apis/distributedtask/pools/18";
const JOBS: &str = "_apis/distributedtask/pools/18/jobrequests";
const POOLS: &str = "_apis/distributedtask/pools?poolName=keda-pool";
const FAULTS: &str = "_poolproof/faults";

/// Makes a fault that is on at once, and answers its id.
async fn make(served: &Served, mut fault: Value) -> u64 {
    fault["from"] = "0s".into();
    let answer = served.ask("POST", FAULTS, &json!({ "service": fault }).to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = answer.json();
    assert_eq!(told["state"], "on");
    told["id"].as_u64().expect("an id")
}

async fn remove(served: &Served, fault: u64) {
    assert_eq!(served.ask("DELETE", &format!("{FAULTS}/{fault}"), "").await.status, 204);
}

async fn told(served: &Served, fault: u64) -> Value {
    served.get(&format!("{FAULTS}/{fault}")).await.json()
}

async fn as_agent(served: &Served, path: &str) -> Answer {
    let agent = "User-Agent: VSServices/16.255 (NetCore) VstsAgentCore-linux-x64/4.258.1";
    served.send("GET", &format!("/acme/{path}"), &[&basic("", TOKEN), agent], "").await
}

async fn idle_agent(served: &Served) -> (u64, String) {
    let agent = r#"{"name":"pod-a","version":"4.258.1","systemCapabilities":{"java":"17"}}"#;
    let agent =
        served.ask("POST", &format!("{POOL}/agents"), agent).await.json()["id"].as_u64().expect("an id");
    let session = format!(r#"{{"ownerName":"pod-a","agent":{{"id":{agent}}}}}"#);
    let session = served.ask("POST", &format!("{POOL}/sessions"), &session).await.json();
    (agent, session["sessionId"].as_str().expect("an id").to_owned())
}

fn job(answer: &Answer) -> (u64, JobMessage) {
    let envelope: MessageEnvelope = serde_json::from_slice(&answer.body).expect("a message");
    (envelope.message_id, serde_json::from_str(&envelope.body).expect("a job"))
}

#[tokio::test]
async fn a_fault_hits_its_route_and_its_caller_until_it_is_removed() {
    let served = Served::start().await;
    let fault = make(&served, json!({ "route": "job_requests", "caller": "keda", "answer": 503 })).await;
    assert_eq!(served.keda(JOBS).await.status, 503);
    assert_eq!(served.get(JOBS).await.status, 200, "another caller");
    assert_eq!(served.keda(POOLS).await.status, 200, "another route");
    assert_eq!(told(&served, fault).await["hits"], 1);
    remove(&served, fault).await;
    assert_eq!(served.keda(JOBS).await.status, 200);
    assert_eq!(served.get(&format!("{FAULTS}/{fault}")).await.status, 404);
}

#[tokio::test]
async fn a_fault_of_agents_is_known_by_their_name() {
    let served = Served::start().await;
    make(&served, json!({ "caller": "agent", "answer": 403 })).await;
    assert_eq!(as_agent(&served, POOLS).await.status, 403);
    assert_eq!(served.keda(POOLS).await.status, 200);
    assert_eq!(served.get(FAULTS).await.status, 200, "control routes never fail");
}

#[tokio::test]
async fn a_fault_of_a_credential_hits_those_who_show_it() {
    let served = Served::start().await;
    make(&served, json!({ "credential": "nothing", "answer": 500 })).await;
    assert_eq!(served.send("GET", &format!("/acme/{POOLS}"), &[], "").await.status, 500);
    assert_eq!(served.get(POOLS).await.status, 200);
}

#[tokio::test]
async fn a_fault_begins_and_ends_at_its_own_times() {
    let served = Served::at_speed(50).await;
    let made = async |from: &str, to: &str| {
        let body = format!(r#"{{ "service": {{ "from": "{from}", "to": "{to}", "answer": 500 }} }}"#);
        served.ask("POST", FAULTS, &body).await.json()
    };
    let id = |fault: &Value| fault["id"].as_u64().expect("an id");
    // Hours are minutes here: whatever the machine does, the test is over before.
    let later = made("10h", "20h").await;
    assert_eq!((&later["state"], &later["what"]), (&"waiting".into(), &"every request: answers 500".into()));
    assert_eq!(served.get(POOLS).await.status, 200);
    let begins = made("20s", "20h").await;
    assert_eq!(begins["state"], "waiting");
    until_state(&served, id(&begins), "on").await;
    assert_eq!(served.get(POOLS).await.status, 500);
    remove(&served, id(&begins)).await;
    let ends = made("20s", "40s").await;
    until_state(&served, id(&ends), "over").await;
    assert_eq!(served.get(POOLS).await.status, 200);
    assert_eq!(told(&served, id(&later)).await["state"], "waiting");
    let list = served.get(FAULTS).await.json();
    assert_eq!((&list["count"], &list["value"][0]["id"]), (&2.into(), &later["id"]));
}

/// Waits for a state that lasts.
async fn until_state(served: &Served, fault: u64, state: &str) {
    for _ in 0..12_000 {
        if told(served, fault).await["state"] == state {
            return;
        }
        clock::wall::pause(Duration::from_millis(10)).await;
    }
    panic!("fault {fault} is never {state}");
}

#[tokio::test]
async fn what_cannot_be_a_fault_is_told_with_its_place() {
    let served = Served::start().await;
    for (body, wrong) in [
        (r#"{ "service": { "from": "0s", "answer": 200 } }"#, "the request:1:40: `answer` must be a status"),
        (r#"{ "service": { "from": "0s" } }"#, "this fault changes nothing"),
        (r#"{ "service": { "from": "0s", "anwser": 500 } }"#, "anwser"),
        (r#"{ "pod_kill": { "at": "0s" } }"#, "Only faults of the service"),
        ("", "empty"),
    ] {
        let answer = served.ask("POST", FAULTS, body).await;
        let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer.status, 400, "{body}: {message}");
        assert!(message.contains(wrong), "{body}: {message}");
    }
    assert_eq!(served.send("GET", &format!("/acme/{FAULTS}"), &[], "").await.status, 401);
    assert_eq!(served.get(FAULTS).await.json()["count"], 0);
}

#[tokio::test]
async fn all_are_removed_at_once() {
    let served = Served::start().await;
    make(&served, json!({ "answer": 500 })).await;
    make(&served, json!({ "answer": 502 })).await;
    assert_eq!(served.get(POOLS).await.status, 500);
    assert_eq!(served.ask("DELETE", FAULTS, "").await.status, 204);
    assert_eq!(served.get(POOLS).await.status, 200);
}

#[tokio::test]
async fn an_expired_token_is_told_to_whoever_shows_it() {
    let served = Served::start().await;
    make(&served, json!({ "answer": "token_expired" })).await;
    let answer = served.keda(JOBS).await;
    let message = "Access Denied: The Personal Access Token used has expired.";
    assert_eq!((answer.status, &answer.json()["message"]), (401, &message.into()));
    assert!(answer.header("www-authenticate").expect("a challenge").contains("Bearer"));
    let bare = served.send("GET", &format!("/acme/{JOBS}"), &[], "").await;
    assert_ne!(bare.json()["message"], message);
}

#[tokio::test]
async fn a_redirect_leads_to_the_sign_in_page() {
    let served = Served::start().await;
    make(&served, json!({ "route": "pools", "answer": "redirect" })).await;
    let answer = served.keda(POOLS).await;
    assert_eq!(answer.status, 302);
    let page =
        answer.header("location").expect("a location").rsplit_once(":8080").expect("our host").1.to_owned();
    assert_eq!(served.send("GET", &page, &[], "").await.status, 203);
    assert_eq!(served.keda(JOBS).await.status, 200);
}

#[tokio::test]
async fn a_truncated_answer_is_shorter_than_its_head_says_and_the_log_has_no_answer() {
    let mut served = Served::start().await;
    let whole = served.get(POOLS).await.body;
    make(&served, json!({ "route": "pools", "answer": "truncated", "count": 1 })).await;
    let broken = served.keda(POOLS).await;
    assert_eq!(broken.header("content-length"), Some(whole.len().to_string().as_str()));
    assert_eq!(broken.body, whole[..whole.len() / 2]);
    assert_eq!(served.keda(POOLS).await.body, whole, "the first only");
    let status = served.event(|fact| match fact {
        Fact::Request { status, .. } => Some(*status),
        _ => None,
    });
    assert_eq!(status.await, 0);
}

#[tokio::test]
async fn a_success_without_a_list_has_none() {
    let served = Served::start().await;
    let fault = make(&served, json!({ "answer": "without_list", "route": "job_requests" })).await;
    let answer = served.keda(JOBS).await;
    assert_eq!((answer.status, &answer.json()["value"]), (200, &Value::Null));
    remove(&served, fault).await;
    assert!(served.keda(JOBS).await.json()["value"].is_array());
}

#[tokio::test]
async fn rows_the_other_way_round_are_cut_off_at_the_other_end() {
    let served = Served::start().await;
    served.define("ci", 3);
    served.organization.queue_build("ci").expect("a build");
    let ids = |answer: &Answer| -> Vec<u64> {
        let rows = answer.json()["value"].as_array().expect("rows").clone();
        rows.iter().map(|row| row["requestId"].as_u64().expect("an id")).collect()
    };
    let right = ids(&served.keda(JOBS).await);
    make(&served, json!({ "caller": "keda", "answer": "reordered" })).await;
    let reversed: Vec<u64> = right.iter().rev().copied().collect();
    assert_eq!(ids(&served.keda(JOBS).await), reversed);
    assert_eq!(ids(&served.keda(&format!("{JOBS}?$top=1")).await), [reversed[0]]);
    assert_eq!(ids(&served.get(JOBS).await), right);
}

#[tokio::test]
async fn any_list_runs_the_other_way_round() {
    let served = Served::start().await;
    idle_agent(&served).await;
    let names = |answer: &Answer| -> Vec<String> {
        let rows = answer.json()["value"].as_array().expect("rows").clone();
        rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
    };
    let agents = format!("{POOL}/agents");
    assert_eq!(names(&served.get(&agents).await), ["template", "pod-a"]);
    make(&served, json!({ "route": "agents", "answer": "reordered" })).await;
    assert_eq!(names(&served.get(&agents).await), ["pod-a", "template"]);
}

/// How long a request takes on the wall.
async fn wait_of(served: &Served, path: &str) -> Duration {
    let begun = clock::wall::Stopwatch::start();
    assert_eq!(served.get(path).await.status, 200, "{path}");
    begun.elapsed()
}

#[tokio::test]
async fn every_list_takes_longer_for_each_row_however_it_is_answered() {
    let served = Served::at_speed(20).await;
    served.define("ci", 1);
    served.define("other", 1);
    for _ in 0..2 {
        served.organization.queue_build("ci").expect("a build");
    }
    let lists = [
        format!("{POOL}/agents?propertyFilters=*"),
        "_apis/distributedtask/pools?properties=*".to_owned(),
        "My%20Project/_apis/build/builds?$top=1".to_owned(),
        "_apis/pipelines?$top=1".to_owned(),
        "My%20Project/_apis/pipelines/1/runs".to_owned(),
    ];
    // A second on the wall.
    make(&served, json!({ "route": "all", "delay_per_row": "20s" })).await;
    for list in lists {
        assert!(wait_of(&served, &list).await >= Duration::from_secs(1), "{list}");
    }
}

#[tokio::test]
async fn what_is_no_list_takes_no_longer() {
    let served = Served::at_speed(20).await;
    // It would be waited for in vain.
    make(&served, json!({ "route": "all", "delay_per_row": "2h" })).await;
    assert_eq!(served.get(POOL).await.status, 200);
    assert_eq!(served.get("_apis/projects/My%20Project").await.status, 404);
}

#[tokio::test]
async fn parallel_jobs_that_were_set_count_again_after_a_fault() {
    let served = Served::start().await;
    assert_eq!(served.ask("PUT", "_poolproof/parallel-jobs", r#"{"limit":3}"#).await.status, 204);
    let fault = make(&served, json!({ "parallel_jobs": 1 })).await;
    assert_eq!(parallel_jobs(&served).await, 1);
    remove(&served, fault).await;
    assert_eq!(parallel_jobs(&served).await, 3, "not what the organisation began with");
}

/// How many jobs may run at once.
async fn parallel_jobs(served: &Served) -> Value {
    served.get("_apis/distributedtask/resourcelimits").await.json()["value"][0]["totalCount"].clone()
}

#[tokio::test]
async fn parallel_jobs_that_are_set_during_a_fault_count_after_it() {
    let served = Served::start().await;
    let fault = make(&served, json!({ "parallel_jobs": 1 })).await;
    assert_eq!(served.ask("PUT", "_poolproof/parallel-jobs", r#"{"limit":4}"#).await.status, 204);
    assert_eq!(parallel_jobs(&served).await, 1);
    remove(&served, fault).await;
    assert_eq!(parallel_jobs(&served).await, 4);
}

#[tokio::test]
async fn a_fault_that_is_removed_as_it_begins_is_never_on_afterwards() {
    let served = Served::at_speed(60).await;
    for _ in 0..100 {
        let fault = json!({ "service": { "from": "30ms", "route": "pools", "answer": 503 } }).to_string();
        let made = served.ask("POST", FAULTS, &fault).await.json();
        assert_eq!(served.ask("DELETE", &format!("{FAULTS}/{}", made["id"]), "").await.status, 204);
    }
    assert_eq!(served.get(POOLS).await.status, 200);
    assert_eq!(served.get(FAULTS).await.json()["count"], 0);
}

#[tokio::test]
async fn a_list_takes_longer_for_each_row() {
    let mut served = Served::at_speed(20).await;
    served.define("ci", 4);
    served.organization.queue_build("ci").expect("a build");
    make(&served, json!({ "route": "job_requests", "delay_per_row": "1s" })).await;
    assert_eq!(served.keda(JOBS).await.json()["count"], 4);
    let latency = |fact: &Fact| match fact {
        Fact::ScalerRead { latency_ms, .. } => Some(*latency_ms),
        _ => None,
    };
    assert!(served.event(latency).await >= 4000);
    // KEDA's own way to ask for less: `$top`.
    served.keda(&format!("{JOBS}?$top=1")).await;
    // The delay of one row is never too short; a machine that stalls may make it longer, but not every time.
    let mut short = served.event(latency).await;
    for _ in 0..50 {
        assert!(short >= 1000, "{short}");
        if short < 4000 {
            return;
        }
        served.keda(&format!("{JOBS}?$top=1")).await;
        short = served.event(latency).await;
    }
    panic!("one row takes as long as four: {short}");
}

#[tokio::test]
async fn a_random_delay_lies_within_its_range() {
    let mut served = Served::at_speed(20).await;
    make(&served, json!({ "route": "job_requests", "delay": "1s..2s" })).await;
    served.keda(JOBS).await;
    let latency = served.event(|fact| match fact {
        Fact::ScalerRead { latency_ms, .. } => Some(*latency_ms),
        _ => None,
    });
    assert!(latency.await >= 1000);
}

#[tokio::test]
async fn only_the_first_or_a_share_are_hit() {
    let served = Served::start().await;
    let first = make(&served, json!({ "route": "pools", "answer": 500, "count": 2 })).await;
    let mut hit = Vec::new();
    for _ in 0..3 {
        hit.push(served.get(POOLS).await.status);
    }
    assert_eq!(hit, [500, 500, 200]);
    remove(&served, first).await;
    make(&served, json!({ "route": "pools", "answer": 500, "percent": 50 })).await;
    let mut hits = 0;
    for _ in 0..40 {
        hits += u32::from(served.get(POOLS).await.status == 500);
    }
    assert!((5..=35).contains(&hits), "{hits} of 40");
}

#[tokio::test]
async fn who_asks_too_much_is_told_then_delayed_then_blocked() {
    // A unit comes back in four seconds.
    let served = Served::at_speed(25).await;
    let budget = json!({ "units": 2, "window": "200s", "longest_delay": "100s" });
    make(&served, json!({ "route": "pools", "caller": "keda", "budget": budget })).await;
    let near = served.keda(POOLS).await;
    assert_eq!((near.status, near.header("x-ratelimit-remaining")), (200, None), "light use");
    let near = served.keda(POOLS).await;
    assert_eq!(
        (near.header("x-ratelimit-limit"), near.header("x-ratelimit-remaining")),
        (Some("2"), Some("0"))
    );
    assert_eq!(near.header("x-ratelimit-resource"), Some("Core/DistributedTask"));
    // The next one waits for its unit; another one beside it is one too many.
    let (one, other) = tokio::join!(served.keda(POOLS), served.keda(POOLS));
    let (delayed, blocked) = if one.status == 429 { (other, one) } else { (one, other) };
    assert_eq!((delayed.status, blocked.status), (200, 429));
    let delay: f64 = delayed.header("x-ratelimit-delay").expect("a delay").parse().expect("seconds");
    assert!(delay > 0.0 && delay <= 100.0, "{delay}");
    assert!(delayed.header("retry-after").is_some());
    assert_eq!(blocked.json()["typeKey"], "RequestBlockedException");
    assert!(blocked.json()["message"].as_str().expect("a message").starts_with("TF400733"));
    assert!(blocked.header("retry-after").is_some() && blocked.header("x-ratelimit-reset").is_some());
    assert_eq!(served.keda(POOLS).await.status, 200, "the debt is paid by waiting");
    assert_eq!(served.get(POOLS).await.status, 200, "others have a budget of their own");
}

#[tokio::test]
async fn a_lost_message_never_comes_and_the_next_does() {
    let served = Served::at_speed(30).await;
    let (_, session) = idle_agent(&served).await;
    let fault = make(&served, json!({ "answer": "message_lost", "count": 1 })).await;
    served.define("ci", 1);
    served.organization.queue_build("ci").expect("a build");
    let poll = format!("{POOL}/messages?sessionId={session}");
    let lost = served.get(&poll).await;
    assert_eq!((lost.status, lost.body.len()), (202, 0));
    assert_eq!(told(&served, fault).await["hits"], 1);
    // The service takes the job back by and by, and sends it again.
    for _ in 0..20 {
        let answer = served.get(&poll).await;
        if answer.status == 200 {
            assert_eq!(job(&answer).1.job_name, "Job 1");
            return;
        }
    }
    panic!("the job never comes again");
}

#[tokio::test]
async fn a_held_poll_loses_its_message_too() {
    let served = Served::start().await;
    let (_, session) = idle_agent(&served).await;
    served.define("ci", 1);
    let poll = format!("{POOL}/messages?sessionId={session}");
    let queue_later = async {
        while served.organization.held() < 1 {
            tokio::task::yield_now().await;
        }
        make(&served, json!({ "route": "messages", "answer": "message_lost" })).await;
        served.organization.queue_build("ci").expect("a build");
    };
    let (answer, ()) = tokio::join!(served.get(&poll), queue_later);
    assert_eq!(answer.status, 202);
}

#[tokio::test]
async fn a_doubled_message_comes_to_the_poll_for_work_again() {
    let served = Served::at_speed(30).await;
    let (_, session) = idle_agent(&served).await;
    make(&served, json!({ "answer": "message_twice", "count": 1 })).await;
    served.define("ci", 1);
    served.organization.queue_build("ci").expect("a build");
    let poll = format!("{POOL}/messages?sessionId={session}");
    let first = served.get(&poll).await;
    let (message, _) = job(&first);
    assert_eq!(
        served.ask("DELETE", &format!("{POOL}/messages/{message}?sessionId={session}"), "").await.status,
        204
    );
    let again = served.get(&format!("{poll}&lastMessageId={message}")).await;
    assert_eq!((again.status, job(&again).0), (200, message));
    assert_eq!(served.get(&format!("{poll}&lastMessageId={message}")).await.status, 202);
}

#[tokio::test]
async fn a_renewal_finds_its_lock_lost_and_the_job_abandoned() {
    let mut served = Served::start().await;
    let (_, session) = idle_agent(&served).await;
    served.define("ci", 1);
    served.organization.queue_build("ci").expect("a build");
    let (_, job) = job(&served.get(&format!("{POOL}/messages?sessionId={session}")).await);
    let request = format!("{JOBS}/{}?lockToken=00000000-0000-0000-0000-000000000000", job.request_id);
    let body = format!(r#"{{"requestId":{}}}"#, job.request_id);
    assert_eq!(served.ask("PATCH", &request, &body).await.status, 200);
    make(&served, json!({ "route": "locks", "answer": "lock_lost" })).await;
    let lost = served.ask("PATCH", &request, &body).await;
    assert_eq!((lost.status, &lost.json()["typeKey"]), (409, &"TaskAgentJobTokenExpiredException".into()));
    let result = served.event(|fact| match fact {
        Fact::JobRequestFinished { result, .. } => Some(*result),
        _ => None,
    });
    assert_eq!(result.await, JobResult::Abandoned);
}

#[tokio::test]
async fn the_number_of_parallel_jobs_changes_while_a_fault_is_on() {
    let mut served = Served::start().await;
    let fault = make(&served, json!({ "parallel_jobs": 1 })).await;
    let (_, session) = idle_agent(&served).await;
    let other = r#"{"name":"pod-b","version":"4.258.1"}"#;
    let other =
        served.ask("POST", &format!("{POOL}/agents"), other).await.json()["id"].as_u64().expect("an id");
    let opened = format!(r#"{{"ownerName":"pod-b","agent":{{"id":{other}}}}}"#);
    served.ask("POST", &format!("{POOL}/sessions"), &opened).await;
    served.define("ci", 2);
    served.organization.queue_build("ci").expect("a build");
    served.get(&format!("{POOL}/messages?sessionId={session}")).await;
    let busy =
        |served: &Served| served.organization.agents().iter().filter(|agent| agent.request.is_some()).count();
    assert_eq!(busy(&served), 1);
    remove(&served, fault).await;
    let mut assigned = 0;
    while assigned < 2 {
        served.event(|fact| matches!(fact, Fact::JobRequestAssigned { .. }).then_some(())).await;
        assigned += 1;
    }
    assert_eq!(busy(&served), 2);
}
