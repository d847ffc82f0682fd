//! Who may ask for what, and how everybody else is answered.

use azure_devops::wire::{JobMessage, MessageEnvelope};
use model::Fact;

use crate::client::{Served, TOKEN, basic};

const POOLS: &str = "/acme/_apis/distributedtask/pools";

#[tokio::test]
async fn a_token_opens_by_basic_with_any_user_and_by_bearer() {
    let served = Served::start().await;
    let bearer = format!("Authorization: Bearer {TOKEN}");
    for header in [basic("", TOKEN), basic("VstsAgent", TOKEN), basic("user", &format!("{TOKEN}\n")), bearer]
    {
        assert_eq!(served.send("GET", POOLS, &[&header], "").await.status, 200, "{header}");
    }
}

#[tokio::test]
async fn a_missing_or_wrong_token_is_challenged_with_both_schemes() {
    let served = Served::start().await;
    let wrong = basic("", "wrong");
    for headers in [
        vec![],
        vec![wrong.as_str()],
        vec![wrong.as_str(), "X-TFS-FedAuthRedirect: Suppress"],
        vec!["Authorization: Basic !!!"],
        vec!["Authorization: Negotiate abc"],
    ] {
        let answer = served.send("GET", POOLS, &headers, "").await;
        assert_eq!(answer.status, 401, "{headers:?}");
        assert_eq!(
            answer.header("www-authenticate"),
            Some(
                "Bearer authorization_uri=http://ado.example:8080/oauth, \
                 Basic realm=\"http://ado.example:8080/\", TFS-Federated"
            )
        );
        assert_eq!(answer.json()["typeKey"], "VssUnauthorizedException");
    }
}

#[tokio::test]
async fn a_route_that_is_not_there_is_challenged_before_it_is_missed() {
    let served = Served::start().await;
    assert_eq!(served.send("GET", "/acme/_apis/git/repositories", &[], "").await.status, 401);
    assert_eq!(served.get("_apis/git/repositories").await.status, 501);
}

#[tokio::test]
async fn one_organization_s_token_does_not_open_another() {
    let served = Served::start().await;
    let (events, _received) = tokio::sync::mpsc::unbounded_channel();
    let other = served.server.add_organization(server::NewOrganization {
        name: "other".to_owned(),
        token: "another".to_owned(),
        settings: crate::client::settings(),
        seed: 1,
        events,
    });
    let other = other.expect("the name is free");
    let path = "/other/_apis/distributedtask/pools";
    assert_eq!(served.send("GET", path, &[&basic("", TOKEN)], "").await.status, 401);
    assert_eq!(served.send("GET", path, &[&basic("", "another")], "").await.status, 200);
    other.remove();
    assert_eq!(served.send("GET", path, &[&basic("", "another")], "").await.status, 404);
}

#[tokio::test]
async fn an_organization_s_name_is_taken_once_whatever_the_case() {
    let served = Served::start().await;
    let add = |name: &str| {
        let (events, _received) = tokio::sync::mpsc::unbounded_channel();
        let new = server::NewOrganization {
            name: name.to_owned(),
            token: TOKEN.to_owned(),
            settings: crate::client::settings(),
            seed: 1,
            events,
        };
        served.server.add_organization(new).map(|organization| organization.url())
    };
    assert_eq!(add("ACME"), Err(server::AddError::NameTaken("ACME".to_owned())));
    for bad in ["", "a/b", "_poolproof", "..", "a b"] {
        assert_eq!(add(bad), Err(server::AddError::BadName(bad.to_owned())));
    }
    assert_eq!(add("acme-2"), Ok(format!("http://{}/acme-2", served.server.address())));
}

#[tokio::test]
async fn a_job_s_token_ends_its_job_and_manages_nothing() {
    let served = Served::start().await;
    served.define("ci", 1);
    served.organization.queue_build("ci").expect("a build");
    let agents = "_apis/distributedtask/pools/18/agents";
    let agent = served.ask("POST", agents, r#"{"name":"pod-a","version":"4.258.1"}"#).await.json();
    let session = format!(r#"{{"ownerName":"pod","agent":{{"id":{}}}}}"#, agent["id"]);
    let session = served.ask("POST", "_apis/distributedtask/pools/18/sessions", &session).await.json();
    let session = session["sessionId"].as_str().expect("a session").to_owned();
    let messages = format!("_apis/distributedtask/pools/18/messages?sessionId={session}");
    let envelope: MessageEnvelope =
        serde_json::from_slice(&served.get(&messages).await.body).expect("a message");
    let job: JobMessage = serde_json::from_str(&envelope.body).expect("a job");
    let token = format!("Authorization: Bearer {}", job.access_token().expect("a token"));

    let remove = format!("/acme/{agents}/{}", agent["id"]);
    let refused = served.send("DELETE", &remove, &[&token], "").await;
    assert_eq!((refused.status, &refused.json()["typeKey"]), (403, &"AccessDeniedException".into()));
    let end = format!(
        "/acme/{}/_apis/distributedtask/hubs/Build/plans/{}/events",
        job.plan.scope_identifier, job.plan.plan_id
    );
    let event =
        format!(r#"{{"name":"JobCompleted","jobId":"{}","requestId":1,"result":"succeeded"}}"#, job.job_id);
    assert_eq!(served.send("POST", &end, &[&token], &event).await.status, 204);
    assert_eq!(served.organization.unfinished(), 0);
    assert_eq!(served.send("POST", &end, &[&token], &event).await.status, 401, "it ended with the job");
}

#[tokio::test]
async fn no_token_is_ever_told() {
    let mut served = Served::start().await;
    let secret = "s3cret-that-nobody-may-see";
    let answer = served.send("GET", POOLS, &[&basic(secret, secret)], "").await;
    assert!(!format!("{} {}", answer.headers, String::from_utf8_lossy(&answer.body)).contains(secret));
    served.get("_apis/git/repositories").await;
    served.organization.remove();
    let mut told = 0;
    while let Ok(event) = served.events.try_recv() {
        let line = serde_json::to_string(&event).expect("JSON");
        assert!(!line.contains(secret) && !line.contains(TOKEN), "{line}");
        told += usize::from(matches!(event.fact, Fact::Request { .. }));
    }
    assert_eq!(told, 2, "the refused request and the one that is not modelled");
    assert!(!format!("{:?}", served.organization).contains(TOKEN));
}

/// The requests for tokens that a log tells of: their routes and statuses.
async fn refused_tokens(
    mut events: tokio::sync::mpsc::UnboundedReceiver<model::Event>,
) -> Vec<(String, u16)> {
    let mut told = Vec::new();
    while let Some(event) = events.recv().await {
        let line = serde_json::to_string(&event).expect("JSON");
        assert!(!line.contains("client_assertion") && !line.contains("s3cret"), "{line}");
        if let Fact::Request { route, status, .. } = event.fact {
            told.push((route, status));
        }
    }
    told
}

#[tokio::test]
async fn a_token_request_that_fails_is_told_of_without_what_it_showed() {
    let served = Served::start().await;
    let body = "grant_type=client_credentials&client_assertion_type=\
                urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=s3cret.s3cret.s3cret";
    for path in ["/_apis/oauth2/token", "/acme/_apis/oauth2/token/3a5a8a8e-0000-4000-8000-000000000000"] {
        assert_eq!(served.send("POST", path, &[], body).await.status, 400);
    }
    assert_eq!(served.send("POST", "/_apis/oauth2/token", &[], "s3cret").await.status, 400);
    served.server.stop().await;
    drop(served.organization);
    let told = refused_tokens(served.events).await;
    assert_eq!(told, vec![("_apis/oauth2/token".to_owned(), 400); 3]);
}

#[tokio::test]
async fn of_several_organizations_the_one_that_a_token_request_names_is_told() {
    let served = Served::start().await;
    let (sender, events) = tokio::sync::mpsc::unbounded_channel();
    let other = served.server.add_organization(server::NewOrganization {
        name: "other".to_owned(),
        token: "another".to_owned(),
        settings: crate::client::settings(),
        seed: 1,
        events: sender,
    });
    let other = other.expect("the name is free");
    let connection = served.send("GET", "/other/_apis/connectionData", &[&basic("", "another")], "").await;
    let host = connection.json()["instanceId"].as_str().expect("an id").to_owned();
    for path in ["/_apis/oauth2/token".to_owned(), format!("/_apis/oauth2/token/{host}")] {
        assert_eq!(served.send("POST", &path, &[], "s3cret").await.status, 400);
    }
    assert_eq!(served.send("POST", "/other/_apis/oauth2/token", &[], "s3cret").await.status, 400);
    served.server.stop().await;
    drop((served.organization, other));
    assert_eq!(refused_tokens(served.events).await.len(), 0, "nobody is named by the first one");
    assert_eq!(refused_tokens(events).await.len(), 2);
}

#[tokio::test]
async fn a_bad_token_is_redirected_to_a_sign_in_page_or_shown_it_by_a_switch() {
    let served = Served::start().await;
    for (name, bad_token) in
        [("redirects", azure_devops::BadToken::Redirect), ("signs-in", azure_devops::BadToken::SignInPage)]
    {
        let (events, _received) = tokio::sync::mpsc::unbounded_channel();
        let new = server::NewOrganization {
            name: name.to_owned(),
            token: TOKEN.to_owned(),
            settings: crate::client::settings(),
            seed: 1,
            events,
        };
        let switches = azure_devops::Switches { bad_token, ..azure_devops::Switches::default() };
        served.server.add_organization_with(new, switches).expect("the name is free");
        let path = format!("/{name}/_apis/distributedtask/pools");
        let suppressed = served.send("GET", &path, &["X-TFS-FedAuthRedirect: Suppress"], "").await;
        assert_eq!(suppressed.status, 401, "{name}");
        assert_eq!(served.send("GET", &path, &[&basic("", TOKEN)], "").await.status, 200, "{name}");
        let mut plain = served.send("GET", &path, &[], "").await;
        if name == "redirects" {
            assert_eq!(plain.status, 302);
            let location = plain.header("location").expect("where to").to_owned();
            let page = location.strip_prefix("http://ado.example:8080").expect("this server");
            plain = served.send("GET", page, &[], "").await;
        }
        assert_eq!(
            (plain.status, plain.header("content-type")),
            (203, Some("text/html; charset=utf-8")),
            "{name}"
        );
        assert_eq!(plain.body.first(), Some(&b'<'), "which no JSON begins with");
    }
}
