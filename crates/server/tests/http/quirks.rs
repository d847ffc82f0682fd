//! Quirks of the real service on the wire, as a scenario's organisation states them.

use azure_devops::{AgentVersion, Refusal};
use model::quirks::{ApiVersions, BadToken, Quirks};
use server::NewOrganization;
use tokio::sync::mpsc::unbounded_channel;

use crate::client::{Served, TOKEN, basic, settings};

const POOLS: &str = "_apis/distributedtask/pools";

/// Serves another organisation with these quirks.
fn add(served: &Served, name: &str, quirks: Quirks) {
    let mut settings = settings();
    settings.quirks = quirks;
    let (events, _) = unbounded_channel();
    let new = NewOrganization { name: name.to_owned(), token: TOKEN.to_owned(), settings, seed: 7, events };
    served.server.add_organization(new).expect("the name is free");
}

#[tokio::test]
async fn a_version_that_does_not_suit_is_refused_by_a_switch() {
    let served = Served::start().await;
    add(&served, "strict", Quirks { api_versions: Some(ApiVersions::Strict), ..Quirks::default() });
    for (organization, status) in [("acme", 200), ("strict", 400)] {
        let path = format!("/{organization}/{POOLS}?api-version=99.0");
        assert_eq!(served.send("GET", &path, &[&basic("", TOKEN)], "").await.status, status, "{path}");
        let path = format!("/{organization}/{POOLS}?api-version=7.1");
        assert_eq!(served.send("GET", &path, &[&basic("", TOKEN)], "").await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn agents_are_asked_to_update_to_the_version_of_the_scenario() {
    let served = Served::start().await;
    let newest = AgentVersion { major: 4, minor: 260, patch: 1 };
    add(&served, "ahead", Quirks { newest_agent: Some(newest), ..Quirks::default() });
    for (organization, is_asked) in [("acme", false), ("ahead", true)] {
        let pool = format!("/{organization}/{POOLS}/18");
        let send = async |method: &str, path: &str, body: &str| {
            let answer = served.send(method, &format!("{pool}/{path}"), &[&basic("", TOKEN)], body).await;
            assert!(matches!(answer.status, 200 | 204), "{method} {path}: {}", answer.status);
            answer
        };
        let agent = send("POST", "agents", r#"{"name":"pod-a","version":"4.258.1"}"#).await.json();
        let session = format!(r#"{{"ownerName":"pod-a","agent":{{"id":{}}}}}"#, agent["id"]);
        send("POST", "sessions", &session).await;
        send("POST", "messages", "").await;
        let agent = send("GET", &format!("agents/{}", agent["id"]), "").await.json();
        let target = agent.pointer("/pendingUpdate/targetVersion").cloned();
        let wanted = is_asked.then(|| serde_json::json!({ "major": 4, "minor": 260, "patch": 1 }));
        assert_eq!(target, wanted, "{organization}");
    }
}

#[tokio::test]
async fn statuses_and_answers_to_bad_tokens_are_those_of_the_scenario() {
    let served = Served::start().await;
    let quirks = Quirks {
        session_expired_status: Some(404),
        bad_token: Some(BadToken::SignInPage),
        ..Quirks::default()
    };
    add(&served, "odd", quirks);
    let nil = uuid::Uuid::nil();
    for (organization, status, bad) in [("acme", 403, 401), ("odd", 404, 203)] {
        let poll = format!("/{organization}/{POOLS}/18/messages?sessionId={nil}");
        let expired = served.send("GET", &poll, &[&basic("", TOKEN)], "").await;
        let key = Refusal::SessionExpired(nil).type_key();
        assert_eq!((expired.status, &expired.json()["typeKey"]), (status, &key.into()), "{organization}");
        let refused = served.send("GET", &format!("/{organization}/{POOLS}"), &[&basic("", "no")], "").await;
        assert_eq!(refused.status, bad, "{organization}");
    }
}
