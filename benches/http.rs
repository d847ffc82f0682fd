//! How fast KEDA's read of 250 rows is over HTTP: client and server on the same
//! machine, a few connections that are kept alive.
//!
//! `cargo bench -p poolproof-server`. The figure to hold it against: 10,000 a second.

use std::net::{Ipv4Addr, SocketAddr};

use azure_devops::{Definition, JobTemplate};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clock::Clock;
use clock::wall::Stopwatch;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::scenario::{self, ParallelJobs, Placeholder};
use model::{Millis, MillisRange};
use server::{NewOrganization, Options, Organization, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::unbounded_channel;

const ROWS: usize = 250;
const CONNECTIONS: u64 = 8;
const TOKEN: &str = "token";

async fn serve() -> (Server, Organization) {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = Options { listen, clock: Clock::start(1), packages: vec![] };
    let server = Server::start(options).await.expect("a free port");
    let template = Placeholder { name: "template".to_owned(), capabilities: [].into() };
    let settings = scenario::Organization {
        parallel_jobs: ParallelJobs::Unlimited,
        assign_delay: MillisRange::default(),
        job_lock: Millis::minutes(10),
        session_expiry: Millis::minutes(5),
        pools: vec![scenario::Pool { name: "pool".to_owned(), id: 1, agents: vec![template] }],
    };
    let (events, _) = unbounded_channel();
    let new = NewOrganization { name: "acme".to_owned(), token: TOKEN.to_owned(), settings, seed: 1, events };
    let organization = server.add_organization(new).expect("the name is free");
    let job =
        |number| JobTemplate { name: format!("Job {number}"), demands: vec![], duration: Millis::minutes(5) };
    let definition = Definition {
        name: "ci".to_owned(),
        project: "project".to_owned(),
        pool: "pool".to_owned(),
        jobs: (0..ROWS).map(job).collect(),
    };
    organization.define(definition).expect("a definition");
    organization.queue_build("ci").expect("a build");
    (server, organization)
}

/// Reads so often on one connection; says how long an answer is.
async fn read(address: SocketAddr, times: u64) -> usize {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = format!(
        "GET /acme/_apis/distributedtask/pools/1/jobrequests?completedRequestCount=0 HTTP/1.1\r\nHost: x\r\n\
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

fn job_requests(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (server, _organization) = runtime.block_on(serve());
    let address = server.address();
    let length = runtime.block_on(read(address, 1));
    let mut group = criterion.benchmark_group("http");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    group.bench_function(format!("jobrequests, 250 rows, {length} bytes"), |bencher| {
        bencher.iter_custom(|times| {
            let share = times.div_ceil(CONNECTIONS);
            let watch = Stopwatch::start();
            runtime.block_on(async {
                let readers: Vec<_> = (0..CONNECTIONS).map(|_| tokio::spawn(read(address, share))).collect();
                for reader in readers {
                    reader.await.expect("it read");
                }
            });
            // Connections read equal shares, so a few more than asked for.
            watch.elapsed().mul_f64(times as f64 / (share * CONNECTIONS) as f64)
        });
    });
    group.finish();
    runtime.block_on(server.stop());
}

criterion_group!(benches, job_requests);
criterion_main!(benches);
