//! Plays an agent, so that builds come to something. The crate has no sessions and no messages; its HTTP pipeline
//! sends them.

use std::time::Duration;

use azure_core::base64;
use azure_core::http::headers::AUTHORIZATION;
use azure_core::http::{ClientOptions, Context, Method, Pipeline, Request, Url};
use azure_devops_rust_api::distributed_task::models::TaskAgent;
use serde_json::{Value, json};

use crate::made::from;
use crate::pools::id;
use crate::recorded::{Clients, ORGANIZATION, call};

const VERSION: &str = "4.258.1";
const NO_SESSION: &str = "00000000-0000-0000-0000-000000000000";
/// How long a job may take to come.
const PATIENCE: Duration = Duration::from_secs(300);

/// A registered agent with a session.
pub struct Agent {
    pipeline: Pipeline,
    organization: String,
    authorization: String,
    pool: i32,
    session: String,
}

impl Agent {
    pub async fn join(clients: &Clients, origin: &Url, token: &str, pool: i32, name: &str) -> Self {
        let capabilities = json!({ "Agent.Name": name, "java": "21" });
        let given: TaskAgent = from(json!({
            "name": name, "version": VERSION, "maxParallelism": 1, "enabled": true, "systemCapabilities": capabilities,
        }));
        let registered = call!(clients.distributed_task.agents_client().add(ORGANIZATION, given, pool));
        let mut agent = Self {
            pipeline: Pipeline::new(None, None, ClientOptions::default(), vec![], vec![], None),
            organization: format!("{origin}{ORGANIZATION}"),
            authorization: format!("Basic {}", base64::encode(format!(":{token}"))),
            pool,
            session: String::new(),
        };
        let session = agent
            .send(
                Method::Post,
                &agent.of_pool("sessions"),
                Some(json!({
                    "sessionId": NO_SESSION,
                    "ownerName": name,
                    "agent": { "id": id(&registered), "name": name, "version": VERSION },
                    "systemCapabilities": capabilities,
                })),
            )
            .await;
        agent.session = session["sessionId"].as_str().expect("a session").to_owned();
        agent
    }

    /// Waits for a job, and takes it.
    #[expect(clippy::disallowed_methods, reason = "the clock of scenarios is not of this workspace")]
    pub async fn take_job(&self) -> Value {
        tokio::time::timeout(PATIENCE, self.next_job()).await.expect("a job comes in time")
    }

    async fn next_job(&self) -> Value {
        loop {
            let path = self.of_pool(&format!("messages?sessionId={}", self.session));
            let message = self.send(Method::Get, &path, None).await;
            if message.is_null() {
                continue;
            }
            let path = self.of_pool(&format!("messages/{}?sessionId={}", message["messageId"], self.session));
            self.send(Method::Delete, &path, None).await;
            if message["messageType"] == "PipelineAgentJobRequest" {
                return serde_json::from_str(message["body"].as_str().expect("a body")).expect("a job");
            }
        }
    }

    /// Says that a job is over.
    pub async fn complete(&self, job: &Value, result: &str) {
        let text = |value: &Value| value.as_str().expect("an id").to_owned();
        let (scope, plan) = (text(&job["plan"]["scopeIdentifier"]), text(&job["plan"]["planId"]));
        let path = format!("{scope}/_apis/distributedtask/hubs/Build/plans/{plan}/events");
        let event = json!({
            "name": "JobCompleted", "jobId": job["jobId"], "requestId": job["requestId"], "result": result,
        });
        self.send(Method::Post, &path, Some(event)).await;
    }

    /// Ends the session; the registration stays.
    pub async fn leave(&self) {
        let path = self.of_pool(&format!("sessions/{}", self.session));
        self.send(Method::Delete, &path, None).await;
    }

    fn of_pool(&self, rest: &str) -> String {
        format!("_apis/distributedtask/pools/{}/{rest}", self.pool)
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = Url::parse(&format!("{}/{path}", self.organization)).expect("an address");
        let mut request = Request::new(url, method);
        request.insert_header(AUTHORIZATION, self.authorization.clone());
        request.insert_header("content-type", "application/json");
        request.set_body(body.map_or_else(Vec::new, |body| body.to_string().into_bytes()));
        let answer = self.pipeline.send(&Context::default(), &mut request, None).await;
        let answer = answer.unwrap_or_else(|error| panic!("{path}: {error:?}"));
        serde_json::from_slice(answer.body().as_ref()).unwrap_or(Value::Null)
    }
}
