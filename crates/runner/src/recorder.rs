//! The recorder: everybody's events come together here, go to the log file, and
//! add up to the state that the run waits on.

use std::fs::{File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use model::{Event, Fact, Instant, Source};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::state::State;

/// A log that is being written.
#[derive(Debug)]
pub struct Recorder {
    events: UnboundedSender<Event>,
    state: watch::Receiver<State>,
    task: JoinHandle<io::Result<()>>,
}

impl Recorder {
    /// Creates the log file. Instants in the log count from `zero`.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn start(path: &Path, zero: Instant) -> io::Result<Self> {
        let file = BufWriter::new(create(path)?);
        let (events, received) = unbounded_channel();
        let (tell, state) = watch::channel(State::default());
        let task = tokio::spawn(record(file, received, tell, zero));
        Ok(Self { events, state, task })
    }

    /// Where events go.
    #[must_use]
    pub fn events(&self) -> &UnboundedSender<Event> {
        &self.events
    }

    /// Writes down what the runner itself saw.
    pub fn tell(&self, at: Instant, fact: Fact) {
        // If the recorder is gone, `finish` says why.
        let _ = self.events.send(Event { at, by: Source::Run, fact });
    }

    /// The state, whenever it changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Closes the log after `run.finished`. Everybody else who still holds a sender writes into the void.
    ///
    /// # Errors
    /// If the disk said no at any time.
    pub async fn finish(self) -> io::Result<()> {
        drop(self.events);
        self.task.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

/// Opens the log for one writer: two runs in one folder would spoil each other's. A device is everybody's.
fn create(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).write(true).truncate(false).open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(file);
    }
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(io::Error::other("another run writes it")),
        Err(TryLockError::Error(error)) => return Err(error),
        Ok(()) => {}
    }
    file.set_len(0)?;
    Ok(file)
}

async fn record(
    mut file: BufWriter<File>,
    mut received: UnboundedReceiver<Event>,
    tell: watch::Sender<State>,
    zero: Instant,
) -> io::Result<()> {
    let mut batch = Vec::new();
    let mut finished = false;
    // Everything that has arrived is written before the state changes: who waits for a state can read why.
    while !finished && received.recv_many(&mut batch, 256).await > 0 {
        for event in &mut batch {
            rebase(event, zero);
            serde_json::to_writer(&mut file, event)?;
            file.write_all(b"\n")?;
            finished |= matches!(event.fact, Fact::RunFinished { .. });
        }
        file.flush()?;
        tell.send_modify(|state| batch.iter().for_each(|event| state.fold(event)));
        batch.clear();
    }
    Ok(())
}

/// Events come in the cluster's scenario time, which began before the run.
fn rebase(event: &mut Event, zero: Instant) {
    let from_zero = |instant: Instant| Instant(instant.0.saturating_sub(zero.0));
    event.at = from_zero(event.at);
    if let Fact::ContainerBackOff { until, .. } = &mut event.fact {
        *until = from_zero(*until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::event::Outcome;

    #[tokio::test]
    async fn what_is_told_is_in_the_file_and_in_the_state() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events.jsonl");
        let recorder = Recorder::start(&path, Instant(1000)).expect("a recorder");
        recorder.tell(Instant(1500), Fact::AgentOnline { agent: 3 });
        let mut state = recorder.state();
        state.wait_for(|state| state.idle() == 1).await.expect("the recorder lives");
        recorder.tell(Instant(2000), Fact::RunFinished { outcome: Outcome::Settled, because: None });
        recorder.finish().await.expect("a written log");
        let text = std::fs::read_to_string(path).expect("a log");
        let events: Vec<Event> =
            text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
        assert_eq!(events.len(), 2);
        assert_eq!(events[0].at, Instant(500));
    }

    #[tokio::test]
    async fn a_log_that_is_being_written_has_no_second_writer() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events.jsonl");
        let _first = Recorder::start(&path, Instant::START).expect("a recorder");
        let second = Recorder::start(&path, Instant::START).expect_err("a refusal");
        assert!(second.to_string().contains("another run"), "{second}");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_full_disk_is_an_error() {
        let full = || Recorder::start(Path::new("/dev/full"), Instant::START).expect("an open device");
        let (recorder, _another_run_s) = (full(), full());
        recorder.tell(Instant(1), Fact::RunReady {});
        let mut state = recorder.state();
        assert!(state.changed().await.is_err(), "the recorder ends");
        assert!(recorder.finish().await.is_err());
    }
}
