//! The API server's audit log: who asked for external metrics, and who set a
//! workload's replicas. Nothing else is in it, so that it costs the API server nothing.
//!
//! The log lies in the cluster's folder and is followed from there: by the run whose cluster it is,
//! and by every run that joins a cluster somebody else holds.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clock::Clock;
use jiff::Timestamp;
use model::{Event, Fact, Instant, Source};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use super::LocalError;

/// The user of KEDA's programs, by the name that they have in a cluster where KEDA is installed.
pub(super) const KEDA_USER: &str = "system:serviceaccount:keda:keda-operator";
/// The user of the HPA's controller. Source: Kubernetes 1.35.4,
/// `plugin/pkg/auth/authorizer/rbac/bootstrappolicy/controller_policy.go`, `buildControllerRoles`.
const HPA_USER: &str = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";

const LOG: &str = "audit.log";
const POLICY: &str = "audit-policy.yaml";
/// When the API server begins a new file, in megabytes.
const MAXIMUM_SIZE: u32 = 16;
/// How many full files it keeps.
const KEPT: u32 = 1;
/// Pause between two looks at the file's end, in wall time.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// What is read at once.
const CHUNK: usize = 64 << 10;
/// The longest line; what is longer is none of ours.
const LONGEST_LINE: usize = 1 << 20;

/// Where the log of the cluster in `folder` is.
pub(super) fn log(folder: &Path) -> PathBuf {
    folder.join(LOG)
}

/// What the API server is told.
pub(super) fn flags(folder: &Path) -> [(&'static str, String); 5] {
    [
        ("audit-policy-file", folder.join(POLICY).display().to_string()),
        ("audit-log-path", log(folder).display().to_string()),
        ("audit-log-mode", "blocking".to_owned()),
        ("audit-log-maxsize", MAXIMUM_SIZE.to_string()),
        ("audit-log-maxbackup", KEPT.to_string()),
    ]
}

/// Reads of external metrics without bodies (the aggregator keeps none), writes of scales with theirs.
pub(super) fn write_policy(folder: &Path) -> Result<(), LocalError> {
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [
            {
                "level": "Metadata",
                "verbs": ["get", "list"],
                "resources": [{ "group": "external.metrics.k8s.io" }],
            },
            {
                "level": "Request",
                "verbs": ["update", "patch"],
                "resources": [{ "group": "apps", "resources": ["deployments/scale", "statefulsets/scale"] }],
            },
            { "level": "None" },
        ],
    });
    let path = folder.join(POLICY);
    fs::write(&path, policy.to_string()).map_err(|source| LocalError::Folder { path, source })
}

/// Follows an audit log until it is dropped.
#[derive(Debug)]
pub struct AuditTail(JoinHandle<()>);

impl AuditTail {
    /// Writes a fact to `events` for each entry about `namespace` that is added from now on. A file
    /// that is not there yet is waited for.
    #[must_use]
    pub fn start(log: PathBuf, namespace: &str, clock: Clock, events: UnboundedSender<Event>) -> Self {
        let namespace = namespace.to_owned();
        let mut file = Follower::at_end_of(log);
        Self(tokio::spawn(async move {
            loop {
                // Few bytes that were just written: they are in memory, and nobody waits for a disk.
                for line in file.lines() {
                    let event = read(&line, &namespace, &clock);
                    if event.is_some_and(|event| events.send(event).is_err()) {
                        return;
                    }
                }
                if events.is_closed() {
                    return;
                }
                clock::wall::pause(LOOK_AGAIN).await;
            }
        }))
    }
}

impl Drop for AuditTail {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A file that grows and, when it is large, is renamed and begun anew.
#[derive(Debug)]
struct Follower {
    path: PathBuf,
    file: Option<(File, u64)>,
    /// The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
}

impl Follower {
    fn at_end_of(path: PathBuf) -> Self {
        let mut file = open(&path);
        if let Some((file, _)) = &mut file {
            // A file that cannot be sought is read from its beginning: its entries are others' runs'.
            let _ = file.seek(SeekFrom::End(0));
        }
        Self { path, file, rest: Vec::new() }
    }

    /// The lines that were added.
    fn lines(&mut self) -> Vec<Vec<u8>> {
        // Looked at before the end is read: what is added to the old file comes before its renaming.
        let renamed = match (&self.file, fs::metadata(&self.path)) {
            (Some((_, inode)), Ok(metadata)) => metadata.ino() != *inode,
            _ => false,
        };
        self.read();
        if self.file.is_none() || renamed {
            self.file = open(&self.path);
            self.read();
        }
        let mut lines: Vec<Vec<u8>> = self.rest.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        self.rest = lines.pop().unwrap_or_default();
        if self.rest.len() > LONGEST_LINE {
            self.rest.clear();
        }
        lines
    }

    fn read(&mut self) {
        let Some((file, _)) = &mut self.file else { return };
        let mut chunk = vec![0; CHUNK];
        // An error ends the look; the next one tries again.
        while let Ok(read @ 1..) = file.read(&mut chunk) {
            self.rest.extend_from_slice(&chunk[..read]);
        }
    }
}

fn open(path: &Path) -> Option<(File, u64)> {
    let file = File::open(path).ok()?;
    let inode = file.metadata().ok()?.ino();
    Some((file, inode))
}

/// An entry, as far as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    stage: String,
    #[serde(default)]
    verb: String,
    user: User,
    object_ref: ObjectRef,
    response_status: Option<Status>,
    #[serde(default)]
    request_object: Value,
    request_received_timestamp: String,
    stage_timestamp: String,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    resource: String,
    namespace: String,
    name: String,
    api_group: String,
    subresource: String,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

fn read(line: &[u8], namespace: &str, clock: &Clock) -> Option<Event> {
    let entry: Entry = serde_json::from_slice(line).ok()?;
    if entry.stage != "ResponseComplete" || entry.object_ref.namespace != namespace {
        return None;
    }
    let at = instant(clock, &entry.stage_timestamp)?;
    let arrival = instant(clock, &entry.request_received_timestamp)?;
    let status = entry.response_status.map_or(0, |status| status.code);
    let ObjectRef { resource, name, api_group, subresource, .. } = entry.object_ref;
    let fact = if api_group == "external.metrics.k8s.io" && entry.user.username == HPA_USER {
        Fact::HpaRead { metric: resource, status, latency_ms: at.since(arrival).0, value_milli: None }
    } else if subresource == "scale" {
        let kind = if resource == "statefulsets" { "StatefulSet" } else { "Deployment" };
        let writer = match entry.user.username {
            user if user == HPA_USER => "hpa".to_owned(),
            user if user == KEDA_USER => "keda".to_owned(),
            user => user,
        };
        let replicas = match entry.request_object.pointer("/spec/replicas") {
            Some(replicas) => replicas.as_u64().and_then(|replicas| u32::try_from(replicas).ok())?,
            // Go's clients leave a zero out (k8s:staging/src/k8s.io/api/autoscaling/v1/types.go, `ScaleSpec`).
            None if entry.verb == "update" => 0,
            // A patch of something else than the replicas.
            None => return None,
        };
        Fact::ScaleWritten { workload: format!("{kind}/{name}"), writer, replicas, status }
    } else {
        return None;
    };
    Some(Event { at, by: Source::Kubernetes, fact })
}

/// The API server's clock and ours agree about the date.
fn instant(clock: &Clock, date: &str) -> Option<Instant> {
    let date: Timestamp = date.parse().ok()?;
    Some(clock.instant_of(Duration::try_from(date.as_duration()).ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn entry(clock: &Clock, user: &str, group: &str, object: &Value, code: u16) -> Vec<u8> {
        let date = |instant| {
            let date = jiff::SignedDuration::try_from(clock.date(instant)).expect("a date");
            Timestamp::from_duration(date).expect("a date").to_string()
        };
        let mut entry = json!({
            "stage": "ResponseComplete", "user": { "username": user }, "objectRef": object,
            "responseStatus": { "metadata": {}, "code": code },
            "requestObject": { "kind": "Scale", "spec": { "replicas": 4 } },
            "requestReceivedTimestamp": date(Instant(1000)), "stageTimestamp": date(Instant(1250)),
        });
        entry["objectRef"]["apiGroup"] = group.into();
        entry.to_string().into_bytes()
    }

    #[test]
    fn a_read_of_the_hpas_is_told_at_its_end() {
        let clock = Clock::start(20);
        let object = json!({ "resource": "s0-queue", "namespace": "mine" });
        let line = entry(&clock, HPA_USER, "external.metrics.k8s.io", &object, 200);
        let event = read(&line, "mine", &clock).expect("a fact");
        assert!(event.at.0.abs_diff(1250) <= 1, "{event:?}");
        let Fact::HpaRead { metric, status, latency_ms, value_milli } = event.fact else { panic!("a read") };
        assert_eq!((metric.as_str(), status, value_milli), ("s0-queue", 200, None));
        assert!(latency_ms.abs_diff(250) <= 1, "{latency_ms}");
        assert!(read(&line, "others", &clock).is_none());
        let somebody = entry(&clock, "poolproof-admin", "external.metrics.k8s.io", &object, 200);
        assert!(read(&somebody, "mine", &clock).is_none());
    }

    #[test]
    fn a_written_scale_says_who_wrote_what() {
        let clock = Clock::start(1);
        let object = |resource: &str| json!({ "resource": resource, "subresource": "scale", "namespace": "mine", "name": "agents" });
        for (user, resource, writer, workload) in [
            (HPA_USER, "deployments", "hpa", "Deployment/agents"),
            (KEDA_USER, "statefulsets", "keda", "StatefulSet/agents"),
            ("somebody", "deployments", "somebody", "Deployment/agents"),
        ] {
            let line = entry(&clock, user, "apps", &object(resource), 409);
            let expected = Fact::ScaleWritten {
                workload: workload.into(),
                writer: writer.into(),
                replicas: 4,
                status: 409,
            };
            assert_eq!(read(&line, "mine", &clock).map(|event| event.fact), Some(expected));
        }
    }

    #[test]
    fn a_zero_is_left_out_of_an_update() {
        let clock = Clock::start(1);
        let object =
            json!({ "resource": "deployments", "subresource": "scale", "namespace": "mine", "name": "a" });
        let line = entry(&clock, KEDA_USER, "apps", &object, 200);
        let mut zero: Value = serde_json::from_slice(&line).expect("an entry");
        zero["requestObject"]["spec"] = json!({});
        let replicas = |verb: &str| {
            let mut entry = zero.clone();
            entry["verb"] = verb.into();
            match read(entry.to_string().as_bytes(), "mine", &clock)?.fact {
                Fact::ScaleWritten { replicas, .. } => Some(replicas),
                _ => None,
            }
        };
        assert_eq!((replicas("update"), replicas("patch")), (Some(0), None));
    }

    #[test]
    fn lines_are_whole_and_a_renamed_file_is_read_to_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        fs::write(&path, "earlier\n").expect("a file");
        let mut follower = Follower::at_end_of(path.clone());
        let mut file = File::options().append(true).open(&path).expect("a file");
        file.write_all(b"one\ntw").expect("a line");
        assert_eq!(follower.lines(), [b"one"]);
        file.write_all(b"o\nthree\n").expect("a line");
        fs::rename(&path, folder.path().join("full")).expect("another name");
        assert_eq!(follower.lines(), [b"two".to_vec(), b"three".to_vec()]);
        fs::write(&path, "four\n").expect("a file");
        assert_eq!(follower.lines(), [b"four"]);
    }
}
