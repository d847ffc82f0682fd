//! `poolproof serve --state`: whatever was answered is there again, however the server ended.

#[path = "serving/mod.rs"]
mod serving;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use serving::{Client, Served, wait_for};

/// How often the server is killed; `just full` has it killed more often.
const KILLS: usize = 20;
const KILLS_VARIABLE: &str = "POOLPROOF_KILLS";
/// How many clients write at once.
const CLIENTS: usize = 6;
const AGENTS: &str = "_apis/distributedtask/pools/1/agents";
const BUILDS: &str = "poolproof/_apis/build/builds";

/// What the server has acknowledged.
#[derive(Debug, Default)]
struct Acknowledged {
    /// Agents by their names. `None` if a removal was asked for and never answered.
    agents: BTreeMap<String, Option<u64>>,
    removed: Vec<String>,
    builds: Vec<u64>,
}

fn agent(name: &str, padding: usize) -> String {
    let capabilities = json!({ "Agent.OS": "Linux", "padding": "x".repeat(padding) });
    json!({ "name": name, "version": "4.258.1", "systemCapabilities": capabilities }).to_string()
}

/// Registers, queues and removes until the server goes.
fn write(client: &Client, round: usize, number: usize, known: &Mutex<Acknowledged>, answers: &AtomicUsize) {
    for turn in 0.. {
        let name = format!("agent-{round}-{number}-{turn}");
        let Some(answer) = client.try_ask("POST", AGENTS, &agent(&name, 10)) else { return };
        assert_eq!(answer.status, 200, "{answer:?}");
        let id = answer.json()["id"].as_u64().expect("an id");
        known.lock().expect("no panic").agents.insert(name.clone(), Some(id));
        answers.fetch_add(1, Ordering::SeqCst);
        let Some(answer) = client.try_ask("POST", BUILDS, r#"{"definition":{"name":"ci"}}"#) else { return };
        assert_eq!(answer.status, 200, "{answer:?}");
        known.lock().expect("no panic").builds.push(answer.json()["id"].as_u64().expect("an id"));
        answers.fetch_add(1, Ordering::SeqCst);
        if turn % 3 > 0 {
            known.lock().expect("no panic").agents.insert(name.clone(), None);
            let Some(answer) = client.try_ask("DELETE", &format!("{AGENTS}/{id}"), "") else { return };
            assert!(answer.status < 300, "{answer:?}");
            let mut known = known.lock().expect("no panic");
            known.agents.remove(&name);
            known.removed.push(name);
            answers.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Everything that was acknowledged is as it was, builds from `first` on.
fn check(client: &Client, known: &Acknowledged, first: usize) {
    let listed = client.ask("GET", AGENTS, "");
    assert_eq!(listed.status, 200, "{listed:?}");
    let listed = listed.json();
    let there: BTreeMap<&str, u64> = listed["value"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|agent| (agent["name"].as_str().expect("a name"), agent["id"].as_u64().expect("an id")))
        .collect();
    for (name, id) in &known.agents {
        if let Some(id) = id {
            assert_eq!(there.get(name.as_str()), Some(id), "{name} was registered");
        }
    }
    for name in &known.removed {
        assert!(!there.contains_key(name.as_str()), "{name} was removed");
    }
    for build in known.builds.iter().skip(first) {
        let answer = client.ask("GET", &format!("{BUILDS}/{build}"), "");
        assert_eq!(answer.status, 200, "build {build} was queued: {answer:?}");
    }
}

/// A new organisation with a definition that can be queued.
fn prepare(client: &Client) {
    assert_eq!(client.ask("POST", AGENTS, &agent("template", 0)).status, 200);
    let definition = json!({ "name": "ci", "pool": "Default", "jobs": [{ "duration": "5m" }] });
    assert_eq!(client.ask("POST", "_poolproof/definitions", &definition.to_string()).status, 200);
}

#[test]
fn a_server_that_is_killed_under_load_loses_nothing_that_it_acknowledged() {
    let kills = std::env::var(KILLS_VARIABLE).ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    // A short tail, so that kills come while snapshots are taken, too.
    let arguments = |sync| ["--state-tail", "20000", "--state-sync", sync];
    let known = Arc::new(Mutex::new(Acknowledged::default()));
    let mut served = Served::start(&state, &arguments("process"));
    prepare(&served.client());
    let mut checked = 0;
    for round in 0..kills {
        let answers = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (client, known, answers) = (served.client(), Arc::clone(&known), Arc::clone(&answers));
                std::thread::spawn(move || write(&client, round, number, &known, &answers))
            })
            .collect();
        // In the middle of it, each time elsewhere.
        let enough = 10 + (round * 37) % 90;
        wait_for("answers", || answers.load(Ordering::SeqCst) >= enough);
        served.kill();
        for client in clients {
            client.join().expect("every answer was right");
        }
        // Every other time the disk has to have it.
        served = Served::start(&state, &arguments(if round % 2 == 0 { "machine" } else { "process" }));
        let known = known.lock().expect("no panic");
        check(&served.client(), &known, checked);
        checked = known.builds.len();
    }
    let known = known.lock().expect("no panic");
    check(&served.client(), &known, 0);
    assert!(known.builds.len() >= kills * 2 && !known.removed.is_empty(), "{known:?}");
    let number = |name: &str| name.strip_prefix("journal-").and_then(|number| number.parse::<u64>().ok());
    let journals: Vec<u64> = names(&state).iter().filter_map(|name| number(name)).collect();
    assert!(matches!(journals[..], [number] if number > 0), "one journal, and it began anew: {journals:?}");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
}

#[test]
fn a_torn_record_is_cut_off_and_a_damaged_journal_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let mut served = Served::start(&state, &[]);
    prepare(&served.client());
    served.kill();
    let journal = state.join("journal-00000000");
    let whole = std::fs::read(&journal).expect("the journal");
    let mut torn = whole.clone();
    torn.extend_from_slice(&whole[whole.len() - 40..whole.len() - 30]);
    std::fs::write(&journal, &torn).expect("written");
    let mut served = Served::start(&state, &[]);
    let agents = served.client().ask("GET", AGENTS, "").json();
    assert_eq!(agents["value"][0]["name"], "template", "{agents}");
    served.kill();
    assert_eq!(std::fs::read(&journal).expect("the journal"), whole, "it was cut off");

    let mut damaged = whole.clone();
    damaged[60] ^= 1;
    std::fs::write(&journal, &damaged).expect("written");
    let said = refused(&state, &[], 3);
    assert!(said.contains("damaged from byte 16") && said.contains("move it away"), "{said}");
}

/// What a server says that does not start.
fn refused(state: &Path, more: &[&str], code: i32) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_poolproof"))
        .arg("serve")
        .arg("--state")
        .arg(state)
        .args(more)
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

#[test]
fn a_state_is_for_one_server_at_a_time_and_for_the_settings_it_began_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let mut served = Served::start(&state, &[]);
    let (url, token) = (served.url.clone(), served.token.clone());
    let said = refused(&state, &[], 2);
    assert!(said.contains(&format!("process {}", served.id())) && said.contains("in use"), "{said}");
    served.kill();

    let said = refused(&state, &["--parallel-jobs", "3"], 2);
    assert!(said.contains("parallel_jobs") && said.contains("move the folder away"), "{said}");
    let said = refused(&state, &["--pool", "other"], 2);
    assert!(said.contains("pools") && said.contains("other"), "{said}");

    let journal = state.join("journal-00000000");
    let whole = std::fs::read(&journal).expect("the journal");
    // The header with its checksums, as another version would have written it.
    let version = env!("CARGO_PKG_VERSION");
    let mut header: Value = serde_json::from_slice(&whole[28..28 + length(&whole)]).expect("a header");
    assert_eq!(header["version"], version);
    header["version"] = "0.0.9".into();
    header["settings"] = json!({});
    std::fs::write(&journal, framed(header.to_string().as_bytes())).expect("written");
    let said = refused(&state, &[], 2);
    assert!(said.contains("poolproof 0.0.9") && said.contains("move the folder away"), "{said}");

    std::fs::write(&journal, whole).expect("written");
    let again = Served::start(&state, &[]);
    assert_eq!(again.token, token, "a state keeps the token that was made for it");
    assert_ne!(again.url, url, "the port is another one, which is no setting");
}

fn length(journal: &[u8]) -> usize {
    u32::from_le_bytes([journal[16], journal[17], journal[18], journal[19]]) as usize
}

/// A journal of one frame.
fn framed(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_le_bytes();
    let mut bytes = b"poolproof state\n".to_vec();
    bytes.extend(length);
    bytes.extend(crc32(&length).to_le_bytes());
    bytes.extend(crc32(payload).to_le_bytes());
    bytes.extend(payload);
    bytes
}

/// CRC-32 as in ISO 3309, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

#[test]
fn time_goes_on_and_never_back_when_a_server_is_started_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    // A session without polls lives for five minutes: here for 15 s.
    let mut served = Served::start(&state, &["--speed", "20"]);
    let client = served.client();
    let id = client.ask("POST", AGENTS, &agent("a", 0)).json()["id"].clone();
    let session = json!({ "ownerName": "pod", "agent": { "id": id } }).to_string();
    assert_eq!(client.ask("POST", "_apis/distributedtask/pools/1/sessions", &session).status, 200);
    let path = format!("{AGENTS}/{id}");
    assert_eq!(client.ask("GET", &path, "").json()["status"], "online");
    let created = client.ask("GET", &path, "").json()["createdOn"].clone();
    served.kill();
    let served = Served::start(&state, &["--speed", "20"]);
    let client = served.client();
    assert_eq!(client.ask("GET", &path, "").json()["createdOn"], created, "the date it happened on");
    wait_for("the session's end", || client.ask("GET", &path, "").json()["status"] == "offline");
}

#[test]
fn on_a_full_disk_calls_are_answered_503_and_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    // Files of this process may not grow beyond 256 kB, which is told like a full disk.
    let mut served = Served::start_under(
        &["bash", "-c", "trap '' XFSZ; ulimit -S -f 256; exec \"$@\"", "limited"],
        &state,
        &[],
    );
    let client = served.client();
    let mut acknowledged = Vec::new();
    let full = loop {
        let name = format!("agent-{}", acknowledged.len());
        let answer = client.ask("POST", AGENTS, &agent(&name, 20_000));
        if answer.status != 200 {
            break answer;
        }
        acknowledged.push((name, answer.json()["id"].as_u64().expect("an id")));
        assert!(acknowledged.len() < 100, "the disk is never full");
    };
    assert_eq!((full.status, &full.json()["typeKey"]), (503, &"VssServiceResponseException".into()));
    assert!(acknowledged.len() > 5, "{acknowledged:?}");
    // Nothing is told that could be lost, and nothing more is accepted.
    assert_eq!(client.ask("GET", AGENTS, "").status, 503);
    assert_eq!(client.ask("POST", AGENTS, &agent("small", 0)).status, 503);
    // There is room again.
    let raised = Command::new("prlimit")
        .args(["--pid", &served.id().to_string(), "--fsize=unlimited"])
        .status()
        .expect("prlimit is part of every Linux");
    assert!(raised.success());
    wait_for("an answer", || client.ask("GET", AGENTS, "").status == 200);
    let answer = client.ask("POST", AGENTS, &agent("late", 0));
    assert_eq!(answer.status, 200, "{answer:?}");
    acknowledged.push(("late".to_owned(), answer.json()["id"].as_u64().expect("an id")));
    served.kill();
    let served = Served::start(&state, &[]);
    let agents: Acknowledged = Acknowledged {
        agents: acknowledged.into_iter().map(|(name, id)| (name, Some(id))).collect(),
        removed: vec!["small".to_owned()],
        ..Acknowledged::default()
    };
    check(&served.client(), &agents, 0);
}

#[test]
fn a_poll_that_was_held_is_taken_up_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let mut served = Served::start(&state, &[]);
    let client = served.client();
    prepare(&client);
    let session = json!({ "ownerName": "pod", "agent": { "id": 1 } }).to_string();
    let session = client.ask("POST", "_apis/distributedtask/pools/1/sessions", &session).json();
    let session = session["sessionId"].as_str().expect("a session").to_owned();
    let poll = format!("_apis/distributedtask/pools/1/messages?sessionId={session}");
    let held = {
        let (client, poll) = (served.client(), poll.clone());
        std::thread::spawn(move || client.try_ask("GET", &poll, ""))
    };
    assert_eq!(client.ask("POST", BUILDS, r#"{"definition":{"name":"ci"}}"#).status, 200);
    let seen = held.join().expect("no panic").expect("the job comes before the kill");
    served.kill();
    let served = Served::start(&state, &[]);
    // The message was never deleted, so it comes again, the same.
    let again = served.client().ask("GET", &poll, "");
    assert_eq!((again.status, again.json()["messageId"].clone()), (200, seen.json()["messageId"].clone()));
    assert_eq!(again.json()["messageType"], "PipelineAgentJobRequest");
}

/// Every file below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for name in names(folder) {
        let path = folder.join(name);
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn no_token_is_in_anything_that_a_server_wrote() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state, events) = (folder.path().join("state"), folder.path().join("events.jsonl"));
    let errors = std::fs::File::create(folder.path().join("errors")).expect("a file");
    let mut served = Served::start_with(&[], &state, &["--events", events.to_str().expect("text")], errors);
    let client = served.client();
    prepare(&client);
    assert_eq!(client.ask("POST", BUILDS, r#"{"definition":{"name":"ci"}}"#).status, 200);
    let wrong = "a-token-that-opens-nothing";
    assert_eq!(client.with_token(wrong).ask("GET", AGENTS, "").status, 401);
    assert_eq!(client.ask("GET", "_apis/git/repositories", "").status, 501);
    let session = json!({ "ownerName": "pod", "agent": { "id": 1 } }).to_string();
    let session = client.ask("POST", "_apis/distributedtask/pools/1/sessions", &session).json();
    let session = session["sessionId"].as_str().expect("a session").to_owned();
    let poll = format!("_apis/distributedtask/pools/1/messages?sessionId={session}");
    let message = client.ask("GET", &poll, "").json();
    let job: Value = serde_json::from_str(message["body"].as_str().expect("a job")).expect("JSON");
    let of_job = job["resources"]["endpoints"][0]["authorization"]["parameters"]["AccessToken"].as_str();
    let of_job = of_job.expect("a job's token");
    assert_eq!(client.with_token(of_job).ask("DELETE", &format!("{AGENTS}/1"), "").status, 403);
    // What happened is told a moment after it was answered; a server that is killed tells no more.
    let told = |word: &str| std::fs::read_to_string(&events).expect("events").contains(word);
    wait_for("the refusals to be told of", || told("\"status\":401") && told("\"status\":403"));
    served.kill();
    let mut written = Vec::new();
    files(folder.path(), &mut written);
    let mut kept = 0;
    for path in &written {
        let bytes = std::fs::read(path).expect("a file");
        let text = String::from_utf8_lossy(&bytes);
        for token in [wrong, of_job, &served.token] {
            let is_its_place = path.ends_with("state/token") && token == served.token;
            assert!(is_its_place || !text.contains(token), "{} tells a token", path.display());
            kept += usize::from(is_its_place);
        }
    }
    assert_eq!(kept, 1, "{written:?}");
    for path in ["token", "journal-00000000"] {
        let mode = std::fs::metadata(state.join(path)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{path} is its owner's");
    }
}

#[test]
fn a_server_that_is_told_to_end_has_told_of_everything_that_it_answered() {
    const ROUNDS: usize = 2;
    /// Of each client, in each round.
    const REFUSALS: usize = 10;
    let folder = tempfile::tempdir().expect("a folder");
    let (state, events) = (folder.path().join("state"), folder.path().join("events.jsonl"));
    for round in 1..=ROUNDS {
        let served = Served::start(&state, &["--events", events.to_str().expect("text")]);
        let client = served.client();
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    for _ in 0..REFUSALS {
                        assert_eq!(client.ask("GET", "_apis/git/repositories", "").status, 501);
                    }
                });
            }
        });
        // One that is answered because the server ends.
        let hangs = r#"{"service":{"from":"0s","route":"job_requests","answer":"hang"}}"#;
        assert_eq!(client.ask("POST", "_poolproof/faults", hangs).status, 200);
        let held = {
            let client = client.clone();
            std::thread::spawn(move || client.try_ask("GET", "_apis/distributedtask/pools/1/jobrequests", ""))
        };
        wait_for("a request that hangs", || client.ask("GET", "_poolproof/faults/1", "").json()["hits"] == 1);
        assert!(served.end().success());
        assert_eq!(held.join().expect("no panic").expect("an answer").status, 404);
        let log = std::fs::read_to_string(&events).expect("events");
        assert!(log.ends_with('\n'), "the last line is whole");
        let told = |status: &str| log.lines().filter(|line| line.contains(status)).count();
        assert_eq!(told("\"status\":501"), round * CLIENTS * REFUSALS, "in round {round}");
        assert_eq!(told("\"status\":404"), round, "in round {round}");
    }
}

#[test]
fn the_quirks_of_a_file_hold_with_a_state_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state, config) = (folder.path().join("state"), folder.path().join("organization.yaml"));
    let text =
        "organization:\n  pools: [{ name: Default, id: 1 }]\n  quirks: { unknown_pool_is_empty: true }\n";
    std::fs::write(&config, text).expect("written");
    let unknown = |more: &[&str]| {
        let served = Served::start(&state, more);
        served.client().ask("GET", "_apis/distributedtask/pools?poolID=99", "").status
    };
    assert_eq!(unknown(&["--config", config.to_str().expect("text")]), 200);
    let other = folder.path().join("other");
    assert_eq!(
        Served::start(&other, &[]).client().ask("GET", "_apis/distributedtask/pools?poolID=99", "").status,
        404
    );
}

const FAULTS: &str = "_poolproof/faults";
const POOLS: &str = "_apis/distributedtask/pools";
const LIMITS: &str = "_apis/distributedtask/resourcelimits";

fn make_fault(client: &Client, fault: &Value) -> Value {
    let answer = client.ask("POST", FAULTS, &json!({ "service": fault }).to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["id"].clone()
}

#[test]
fn a_fault_that_was_made_is_on_again_after_a_kill_until_it_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    // A short tail: one is in a snapshot, and one comes after it.
    let arguments = ["--state-tail", "2000"];
    let mut served = Served::start(&state, &arguments);
    let client = served.client();
    let first = make_fault(&client, &json!({ "from": "0s", "route": "pools", "answer": 503 }));
    (0..20).for_each(|number| {
        assert_eq!(client.ask("POST", AGENTS, &agent(&format!("a-{number}"), 100)).status, 200);
    });
    let gone = make_fault(&client, &json!({ "from": "0s", "route": "agents", "answer": 500 }));
    let second = make_fault(&client, &json!({ "from": "0s", "to": "2000h", "parallel_jobs": 2 }));
    assert_eq!(client.ask("DELETE", &format!("{FAULTS}/{gone}"), "").status, 204);
    let limit = |client: &Client| client.ask("GET", LIMITS, "").json()["value"][0]["totalCount"].clone();
    assert_eq!(limit(&client), 2);
    served.kill();

    let mut served = Served::start(&state, &arguments);
    let client = served.client();
    let listed = client.ask("GET", FAULTS, "").json();
    let told = |place: usize| (listed["value"][place]["id"].clone(), listed["value"][place]["state"].clone());
    assert_eq!((told(0), told(1)), ((first.clone(), "on".into()), (second.clone(), "on".into())));
    assert_eq!(listed["count"], 2, "{listed}");
    assert_eq!((client.ask("GET", POOLS, "").status, client.ask("GET", AGENTS, "").status), (503, 200));
    assert_eq!(limit(&client), 2);
    for id in [first, second] {
        assert_eq!(client.ask("DELETE", &format!("{FAULTS}/{id}"), "").status, 204);
    }
    let third = make_fault(&client, &json!({ "from": "2000h", "route": "pools", "answer": 503 }));
    assert_eq!(third, 4, "no number is given twice");
    served.kill();

    let served = Served::start(&state, &arguments);
    let client = served.client();
    assert_eq!((client.ask("GET", POOLS, "").status, limit(&client)), (200, Value::Null));
    assert_eq!(client.ask("GET", &format!("{FAULTS}/4"), "").json()["state"], "waiting");
}

#[test]
fn a_fault_whose_time_ends_while_nobody_serves_is_over_and_what_was_set_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let mut served = Served::start(&state, &["--parallel-jobs", "5", "--speed", "60"]);
    let client = served.client();
    assert_eq!(client.ask("PUT", "_poolproof/parallel-jobs", r#"{"limit":3}"#).status, 204);
    let id = make_fault(&client, &json!({ "from": "0s", "to": "30s", "parallel_jobs": 1 }));
    let limit = |client: &Client| client.ask("GET", LIMITS, "").json()["value"][0]["totalCount"].clone();
    served.kill();
    // It ends while nobody serves, or a moment after the start.
    clock::wall::block(WHILE);
    let ended = Served::start(&state, &["--parallel-jobs", "5", "--speed", "60"]);
    let client = ended.client();
    wait_for("the fault's end", || {
        client.ask("GET", &format!("{FAULTS}/{id}"), "").json()["state"] == "over"
    });
    assert_eq!(limit(&client), 3);
}

/// The server's date when an agent is registered now, in milliseconds since 1970.
fn date(client: &Client, name: &str) -> i64 {
    let answer = client.ask("POST", AGENTS, &agent(name, 0)).json();
    let created = answer["createdOn"].as_str().expect("a date");
    azure_devops::wire::millis_of_date(created).expect("a date")
}

/// Longer than any rounding of dates.
const WHILE: Duration = Duration::from_millis(500);

#[test]
fn time_does_not_jump_when_a_state_goes_on_slower() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    Served::start(&state, &["--speed", "60"]).kill();
    let stopwatch = clock::wall::Stopwatch::start();
    let mut served = Served::start(&state, &["--speed", "1"]);
    let before = date(&served.client(), "a");
    clock::wall::block(WHILE);
    served.kill();
    let served = Served::start(&state, &["--speed", "1"]);
    let went = date(&served.client(), "b") - before;
    let most = i64::try_from(stopwatch.elapsed().as_millis()).expect("a time") + 10;
    assert!((0..=most).contains(&went), "{went} ms of {most}");
}

#[test]
fn time_does_not_stand_still_when_a_state_goes_on_faster() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    Served::start(&state, &["--speed", "1"]).kill();
    let mut served = Served::start(&state, &["--speed", "60"]);
    let before = date(&served.client(), "a");
    clock::wall::block(WHILE);
    served.kill();
    let served = Served::start(&state, &["--speed", "60"]);
    let went = date(&served.client(), "b") - before;
    assert!(went >= 60 * i64::try_from(WHILE.as_millis()).expect("a time"), "{went} ms");
}

/// What is the same for the same seed: the organisation's id is drawn as tokens are.
fn drawn(served: &Served) -> Value {
    served.client().ask("GET", "_apis/connectionData", "").json()["instanceId"].clone()
}

#[test]
fn every_server_draws_a_seed_of_its_own_and_a_state_keeps_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state, other) = (folder.path().join("state"), folder.path().join("other"));
    let first = drawn(&Served::start(&state, &[]));
    assert!(first.is_string(), "{first}");
    assert_eq!(drawn(&Served::start(&state, &[])), first, "the calls come to the same");
    let more =
        [drawn(&Served::start(&other, &[])), drawn(&Served::forgetful(&[])), drawn(&Served::forgetful(&[]))];
    assert!(!more.contains(&first) && more[0] != more[1] && more[1] != more[2], "{first} {more:?}");
}

#[test]
fn a_seed_that_is_named_is_taken_and_never_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let named = ["--seed", "8675309"];
    let first = drawn(&Served::start(&state, &named));
    assert_eq!(drawn(&Served::forgetful(&named)), first);
    assert_eq!(drawn(&Served::start(&state, &[])), first);
    let said = refused(&state, &["--seed", "5"], 2);
    assert!(said.contains("seed") && !said.contains("8675309"), "{said}");
}

#[test]
fn a_server_that_others_can_reach_needs_a_token_that_somebody_chose() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let said = refused(&state, &["--listen", "0.0.0.0:0"], 2);
    assert!(said.contains("--token-file"), "{said}");
    let token = folder.path().join("token");
    std::fs::write(&token, " \n").expect("written");
    let said = refused(&state, &["--listen", "0.0.0.0:0", "--token-file", token.to_str().expect("text")], 2);
    assert!(said.contains("holds no token"), "{said}");
    for half in [["--tls-cert", "x.pem"], ["--tls-key", "x.pem"]] {
        let said = refused(&state, &half, 2);
        assert!(said.contains("--tls-"), "{said}");
    }
}
