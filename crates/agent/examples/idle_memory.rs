//! How much memory an idle agent costs: starts many against a service in a process of its own
//! that holds every poll, and divides what they made this process grow.
//!
//! `cargo run --release --example idle_memory -- 1000`. Sockets' kernel memory is not counted.

#![expect(clippy::print_stdout, reason = "a figure for people")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agent::{Identity, Observation, Registration, RunOptions};
use clock::Clock;

fn main() {
    let argument = std::env::args().nth(1).unwrap_or_default();
    if argument == "serve" {
        return serve();
    }
    let agents: usize = argument.parse().unwrap_or(500);
    let program = std::env::current_exe().expect("this program has a path");
    let service = Command::new(program).arg("serve").stdout(Stdio::piped()).stdin(Stdio::piped()).spawn();
    let mut service = service.expect("the service starts");
    let mut port = String::new();
    let mut answers = BufReader::new(service.stdout.take().expect("its output is a pipe"));
    answers.read_line(&mut port).expect("the service says its port");

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(measure(agents, port.trim()));
    service.kill().expect("the service ends");
    service.wait().expect("the service ends");
}

async fn measure(agents: usize, port: &str) {
    let clock = Clock::start(1);
    let listening = Arc::new(AtomicUsize::new(0));
    let mut before = 0;
    // The first half warms up the allocator and the runtime.
    for (half, name) in ["warm", "measured"].into_iter().enumerate() {
        before = resident();
        for number in 0..agents {
            let identity = Identity {
                url: format!("http://127.0.0.1:{port}/acme"),
                token: "0123456789012345678901234567890123456789012345678901".to_owned(),
                pool: "keda-pool".to_owned(),
                name: format!("{name}-7d9c5b6f4-{number:05}"),
            };
            let registration = Registration {
                pool: 18,
                agent: number as u64,
                name: identity.name.clone(),
                capabilities: BTreeMap::new(),
            };
            let listening = Arc::clone(&listening);
            tokio::spawn(async move {
                let observe = |observation| {
                    if matches!(observation, Observation::Listening { .. }) {
                        listening.fetch_add(1, Ordering::Relaxed);
                    }
                };
                let options = RunOptions { once: false, seed: number as u64 };
                agent::run(clock, &identity, &registration, options, std::future::pending(), observe).await
            });
        }
        while listening.load(Ordering::Relaxed) < agents * (half + 1) {
            clock::wall::pause(std::time::Duration::from_millis(50)).await;
        }
        clock::wall::pause(std::time::Duration::from_millis(500)).await;
    }
    let grown = resident().saturating_sub(before);
    println!(
        "{agents} more idle agents with two polls each took {} kB: {} bytes each",
        grown / 1024,
        grown / agents
    );
}

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it has memory");
    let kilobytes = line.split_whitespace().nth(1).and_then(|number| number.parse::<usize>().ok());
    kilobytes.expect("a number") * 1024
}

/// Opens sessions at once and holds every poll.
fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("{}", listener.local_addr().expect("it is bound").port());
    for stream in listener.incoming().flatten() {
        std::thread::Builder::new()
            .stack_size(64 * 1024)
            .spawn(move || {
                let _ = answer(stream);
            })
            .expect("a thread");
    }
}

fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(2048, stream);
    loop {
        let (mut first, mut length) = (String::new(), 0);
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line == "\r\n" {
                break;
            }
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        if first.starts_with("POST") {
            let body = r#"{"sessionId":"6f1b9c4e-1111-2222-3333-444455556666"}"#;
            write!(reader.get_mut(), "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        }
    }
}
