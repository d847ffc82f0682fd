//! What fuzzers get hold of: a request from its bytes to its answer, without a socket.
//!
//! `fuzz/` has the targets; `tests/corpus.rs` has them read what is in `fuzz/corpus`.

use axum::http::Method;
use azure_devops::{Reply, Secret, Service, Settings};
use model::scenario::{self, Placeholder, Pool};
use model::{Instant, Millis};

use crate::decoding::{self, Work};
use crate::query::{self, Query};
use crate::routes;

/// An organisation that takes requests one after another.
#[derive(Debug)]
pub struct Target {
    service: Service,
    now: Instant,
}

impl Default for Target {
    fn default() -> Self {
        let template = Placeholder { name: "template".to_owned(), capabilities: [].into() };
        let pool = Pool { name: "Default".to_owned(), id: 1, agents: vec![template] };
        let organization = scenario::Organization::with_pools(vec![pool]);
        let epoch = std::time::Duration::from_secs(1_700_000_000);
        let token = Secret::new("fuzz");
        let settings = Settings::new("fuzz", "http://127.0.0.1/fuzz", token, 1, epoch, &organization);
        Self { service: Service::new(settings), now: Instant::START }
    }
}

impl Target {
    /// Takes one request, a second after the one before. The path is below the organisation. What
    /// comes of it is its status, or `None` if it is no request.
    ///
    /// # Panics
    /// If something is wrong here: a fuzzer looks for that.
    pub fn request(&mut self, method: &str, target: &str, body: &[u8]) -> Option<u16> {
        self.now += Millis::seconds(1);
        let method: Method = method.parse().ok()?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let route = match routes::find(&method, &query::segments(path)) {
            Ok(Some(route)) => route,
            Ok(None) => return Some(501),
            Err(refusal) => return Some(refusal.status()),
        };
        let call = match decoding::decode(&method, &route, &Query::parse(query), body) {
            Ok(Some(Work::Call(call))) => call,
            Ok(Some(_)) => return Some(200),
            Ok(None) => return Some(501),
            Err(refusal) => return Some(refusal.status()),
        };
        // Whatever is accepted can be kept, and read back.
        let line = serde_json::to_vec(&call).expect("a call is JSON");
        let call = serde_json::from_slice(&line).expect("its own JSON is a call");
        let (reply, _) = self.service.handle(self.now, call);
        Some(match reply {
            Reply::Answer(answer) => {
                let mut body = Vec::new();
                self.service.encode(&answer, &mut body);
                200
            }
            Reply::Refused(refusal) => {
                assert!(!refusal.body().is_empty());
                refusal.status()
            }
            Reply::Held(_) => 202,
        })
    }

    /// Takes requests as lines: method, target and body with a space between them.
    pub fn requests(&mut self, text: &str) {
        for line in text.lines().take(64) {
            let mut words = line.splitn(3, ' ');
            let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            self.request(method, target, words.next().unwrap_or_default().as_bytes());
        }
    }

    /// That the state can be kept, and is the same when it is read back.
    ///
    /// # Panics
    /// If it is not.
    pub fn check_snapshot(&self) {
        let snapshot = self.service.snapshot().expect("the state is JSON");
        let settings = self.service.settings().clone();
        let restored = Service::restore(settings, &snapshot).expect("its own snapshot");
        let again = restored.snapshot().expect("the state is JSON");
        let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).expect("JSON");
        assert_eq!(value(&snapshot), value(&again));
    }
}
