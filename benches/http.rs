//! How fast KEDA's read of 250 rows is over HTTP: client and server on the same
//! machine, a few connections that are kept alive.
//!
//! `cargo bench -p poolproof-server`. The figure to hold it against: 10,000 a second, and on a machine
//! that others use too, a constant body of the same length through the same server. Nothing changes
//! between two reads, so the list is kept whole; `service.rs` measures how it is put together.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use azure_devops::{Definition, JobTemplate};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clock::Clock;
use clock::wall::Stopwatch;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::Event;
use model::scenario::{self, ParallelJobs, Placeholder};
use model::{Millis, MillisRange};
use server::{NewOrganization, Options, Organization, Package, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

const ROWS: usize = 250;
const CONNECTIONS: u64 = 8;
const TOKEN: &str = "token";

const ROWS_PATH: &str = "_apis/distributedtask/pools/1/jobrequests?completedRequestCount=0";

/// A server with a package of so many bytes.
async fn serve(length: usize) -> Server {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let constant = Package {
        platform: "linux-x64".to_owned(),
        version: "1.0.0".to_owned(),
        file_name: "constant".to_owned(),
        bytes: vec![b' '; length],
    };
    let options = Options { listen, clock: Clock::start(1), packages: vec![constant] };
    Server::start(options).await.expect("a free port")
}

/// An organisation whose pool has 250 jobs that wait.
fn organization(server: &Server, name: &str, events: UnboundedSender<Event>) -> Organization {
    let template = Placeholder { name: "template".to_owned(), capabilities: [].into() };
    let settings = scenario::Organization {
        parallel_jobs: ParallelJobs::Unlimited,
        assign_delay: MillisRange::default(),
        job_lock: Millis::minutes(10),
        session_expiry: Millis::minutes(5),
        quirks: model::quirks::Quirks::default(),
        pools: vec![scenario::Pool { name: "pool".to_owned(), id: 1, agents: vec![template] }],
    };
    let new = NewOrganization { name: name.to_owned(), token: TOKEN.to_owned(), settings, seed: 1, events };
    let organization = server.add_organization(new).expect("the name is free");
    let job = |number| JobTemplate::new(format!("Job {number}"), vec![], Millis::minutes(5));
    let definition = Definition::flat("ci", "project", "pool", (0..ROWS).map(job).collect());
    organization.define(definition).expect("a definition");
    organization.queue_build("ci").expect("a build");
    organization
}

/// Reads so often on one connection; says how long an answer is.
async fn read(address: SocketAddr, path: &str, times: u64) -> usize {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: x\r\n\
         User-Agent: Go-http-client/1.1\r\nAuthorization: Basic {}\r\n\r\n",
        STANDARD.encode(format!(":{TOKEN}"))
    );
    let mut buffer = vec![0; 1024 * 1024];
    let mut length = 0;
    for _ in 0..times {
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut filled = 0;
        let mut whole = usize::MAX;
        while filled < whole {
            filled += stream.read(&mut buffer[filled..]).await.expect("an answer");
            if whole == usize::MAX {
                whole = answer_length(&buffer[..filled]).unwrap_or(usize::MAX);
            }
        }
        length = whole;
    }
    length
}

/// The length of head and body, once the head is there.
fn answer_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&bytes[..head]).expect("text");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    Some(head + 4 + length.expect("a length").parse::<usize>().expect("a number"))
}

/// Reads so often on all connections together.
async fn read_all(address: SocketAddr, path: &str, times: u64) -> Duration {
    let share = times.div_ceil(CONNECTIONS);
    let watch = Stopwatch::start();
    let read = |_| {
        let path = path.to_owned();
        tokio::spawn(async move { read(address, &path, share).await })
    };
    let readers: Vec<_> = (0..CONNECTIONS).map(read).collect();
    for reader in readers {
        reader.await.expect("it read");
    }
    // Connections read equal shares, so a few more than asked for.
    watch.elapsed().mul_f64(times as f64 / (share * CONNECTIONS) as f64)
}

fn job_requests(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let entered = runtime.enter();
    let probe = runtime.block_on(serve(0));
    let (unheard, _) = unbounded_channel();
    organization(&probe, "probe", unheard.clone());
    let length = runtime.block_on(read(probe.address(), &format!("probe/{ROWS_PATH}"), 1));

    let server = runtime.block_on(serve(length));
    organization(&server, "unheard", unheard);
    let (events, mut log) = unbounded_channel();
    organization(&server, "heard", events);
    tokio::spawn(async move { while log.recv().await.is_some() {} });
    let mut group = criterion.benchmark_group("http");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    for (what, path) in [
        ("a constant body", "_poolproof/packages/constant".to_owned()),
        ("jobrequests", format!("unheard/{ROWS_PATH}")),
        ("jobrequests, and a log", format!("heard/{ROWS_PATH}")),
    ] {
        group.bench_function(format!("{what}, {length} bytes"), |bencher| {
            bencher.iter_custom(|times| runtime.block_on(read_all(server.address(), &path, times)));
        });
    }
    group.finish();
    drop(entered);
    runtime.block_on(server.stop());
}

criterion_group!(benches, job_requests);
criterion_main!(benches);
