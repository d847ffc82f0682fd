//! Microsoft's own agent, where a package of it is at hand: `ADO_REAL_AGENT_TARBALL=/path/vsts-agent-linux-x64-*.tar.gz`.
//!
//! Its licence does not let it lie here, and no package registry has it, so the test is not run by default. The
//! machine has to have what the package's own `bin/installdependencies.sh` installs: `config.sh` looks for it.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use azure_devops::Switches;
use serde_json::json;
use tokio::process::Command;

use crate::connection::Connection;
use crate::replay::{POOL, TOKEN, serve};
use server::Package;

/// Longer than the agent takes for anything here, on a slow machine.
const LIMIT: Duration = Duration::from_secs(300);
/// What names the package.
const TARBALL: &str = "ADO_REAL_AGENT_TARBALL";

async fn run(folder: &Path, script: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(folder.join(script));
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    command.env("AGENT_ALLOW_RUNASROOT", "1").env("VSO_AGENT_IGNORE", "AZP_TOKEN");
    // Cargo's is not the agent's: config.sh and .NET would look for their libraries there.
    command.env_remove("LD_LIBRARY_PATH");
    let output = clock::wall::timeout(LIMIT, command.output()).await;
    let output =
        output.unwrap_or_else(|_| panic!("{script} {arguments:?} takes too long")).expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{script} {arguments:?}: {}\n{}\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    output
}

async fn ask(
    server: &server::Server,
    method: &str,
    path: &str,
    body: &serde_json::Value,
) -> serde_json::Value {
    use base64::Engine;
    let (body, pair) = (body.to_string(), format!(":{TOKEN}"));
    let credential = base64::engine::general_purpose::STANDARD.encode(pair);
    let head = format!(
        "{method} /acme/{path} HTTP/1.1\r\nHost: ado\r\nAuthorization: Basic {credential}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = Connection::open(server.address()).await.send(&head, body.as_bytes(), false).await;
    assert!(answer.status < 300, "{method} {path}: {}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

#[tokio::test]
#[ignore = "set ADO_REAL_AGENT_TARBALL to an agent package of Microsoft's to run it"]
async fn the_real_agent_is_configured_runs_one_job_and_is_removed() {
    let Some(tarball) = std::env::var_os(TARBALL) else {
        panic!(
            "{TARBALL} has to name an agent package of Microsoft's, as vsts-agent-linux-x64-4.258.1.tar.gz"
        )
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut unpack = Command::new("tar");
    unpack.arg("-xzf").arg(&tarball).arg("-C").arg(folder.path());
    assert!(unpack.status().await.expect("tar").success(), "the package cannot be unpacked");
    let package = Package {
        platform: "linux-x64".to_owned(),
        // Older than any that is still to be had, should the agent look for a newer one by itself.
        version: "2.182.1".to_owned(),
        file_name: "none.tar.gz".to_owned(),
        bytes: Vec::new(),
    };
    let (server, _, _events, url) = serve(1, Switches::default(), None, package).await;

    let configure = [
        "--unattended",
        "--url",
        &url,
        "--auth",
        "pat",
        "--token",
        TOKEN,
        "--pool",
        POOL,
        "--agent",
        "real",
        "--work",
        "_work",
        "--replace",
        "--acceptTeeEula",
    ];
    run(folder.path(), "config.sh", &configure).await;
    let job = json!({ "name": "ci", "pool": POOL, "jobs": [{ "name": "Job", "duration": "1s" }] });
    ask(&server, "POST", "_poolproof/definitions", &job).await;
    let build = ask(&server, "POST", "_apis/build/builds", &json!({ "definition": { "name": "ci" } })).await;
    run(folder.path(), "run.sh", &["--once"]).await;
    let build = ask(&server, "GET", &format!("_apis/build/builds/{}", build["id"]), &json!({})).await;
    assert_eq!(build["result"], "succeeded", "{build}");
    run(folder.path(), "config.sh", &["remove", "--unattended", "--auth", "pat", "--token", TOKEN]).await;
    let agents =
        ask(&server, "GET", "_apis/distributedtask/pools/18/agents?agentName=real", &json!({})).await;
    assert_eq!(agents["count"], 0);
}
