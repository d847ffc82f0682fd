//! The journal's writer: a thread that writes down what was accepted, as much at a time as has come together.
//!
//! Whoever decides a call puts it into the queue, in the order of the decisions, and waits outside every
//! lock until it is written: while one write is on its way, the next one fills. If the disk is full, those
//! who wait are told so; what they asked for stays at the head of the queue, since the organisation has done it
//! already, and until it is written nothing else is accepted.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use azure_devops::{Call, Service};
use model::Instant;
use serde::Serialize;
use tokio::sync::oneshot;

use super::folder::{Open, Place, StateError, Survive};
use super::frames;

/// How long a disk that is full is left alone before the next try.
const RETRY: Duration = Duration::from_millis(100);
/// How many times longer than its snapshot a journal's tail may get. Snapshots then cost a fixed part of all that
/// is written.
const TAIL_TO_SNAPSHOT: u64 = 2;

/// The journal cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotKept;

/// Resolves once everything that was decided before is kept.
pub(crate) type Ticket = oneshot::Receiver<Result<(), NotKept>>;

/// A journal that goes on. Dropped, it writes what is left, and gives the folder back.
#[derive(Debug)]
pub(crate) struct Journal {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Queue {
    inner: Mutex<Inner>,
    /// There is something to do.
    filled: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    /// Calls as lines, not yet taken by the writer.
    lines: Vec<u8>,
    /// How many calls there ever were, and how many of them are kept.
    accepted: u64,
    kept: u64,
    /// Who waits until how many are kept, in order.
    waiting: VecDeque<(u64, oneshot::Sender<Result<(), NotKept>>)>,
    /// A snapshot, with the calls before it that were not yet taken: those in `lines` come after it.
    snapshot: Option<Snapshot>,
    /// The tail is long; somebody should make a snapshot.
    wants_snapshot: bool,
    /// The last write failed.
    is_stuck: bool,
    is_closing: bool,
}

/// The state after some calls.
#[derive(Debug)]
struct Snapshot {
    at: Instant,
    bytes: Vec<u8>,
    /// Those of the calls that are still to be written: should there be no room for the snapshot, they
    /// are kept without it.
    lines: Vec<u8>,
    /// How many calls it has.
    until: u64,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// Goes on with a journal, or begins it.
    pub(super) fn start(
        place: Place,
        number: u64,
        open: Option<Open>,
        now: Instant,
    ) -> Result<Self, StateError> {
        let path = place.file(number);
        let failed = |error| StateError::Io { path: path.clone(), error };
        let (file, length) = match &open {
            Some(Open { whole, .. }) => (place.open(number, *whole as u64).map_err(failed)?, *whole as u64),
            None => {
                let begun = place.begin(number, now, None).map_err(failed)?;
                place.sync_folder().map_err(failed)?;
                begun
            }
        };
        let queue = Arc::new(Queue::default());
        // How much of the file is snapshot is not worth knowing: a tail of this length is read in no time.
        let tail_until = length + place.tail;
        let mut writer = Writer { place, number, file, length, is_dirty: false, tail_until };
        if let Some(line) = open.map(|open| open.line).filter(|line| !line.is_empty())
            && writer.append(&line).is_err()
        {
            // A disk that is full can still be read.
            let mut inner = queue.lock();
            (inner.lines, inner.accepted) = (line, 1);
        }
        let of_thread = Arc::clone(&queue);
        let run = move || writer.run(&of_thread);
        let thread = thread::Builder::new().name("journal".to_owned()).spawn(run).map_err(failed)?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Whether it cannot be written for now: then nothing may be decided.
    pub(crate) fn is_stuck(&self) -> bool {
        self.queue.lock().is_stuck
    }

    /// Puts a call into the queue that was accepted at that instant.
    pub(crate) fn keep(&self, line: &Line) {
        let mut inner = self.queue.lock();
        inner.lines.extend_from_slice(&line.0);
        inner.accepted += 1;
        drop(inner);
        self.queue.filled.notify_one();
    }

    /// What to wait for before anything is told that was decided until now. `None` if all of it is kept.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        let mut inner = self.queue.lock();
        if inner.accepted == inner.kept {
            return None;
        }
        let (kept, ticket) = oneshot::channel();
        let until = inner.accepted;
        inner.waiting.push_back((until, kept));
        Some(ticket)
    }

    /// Makes a snapshot if it is time for one. To be called where nothing else is decided.
    pub(crate) fn shorten(&self, now: Instant, service: &Service) {
        let mut inner = self.queue.lock();
        if !std::mem::take(&mut inner.wants_snapshot) {
            return;
        }
        // A state that cannot be written as a snapshot goes on as a longer journal.
        let Ok(bytes) = service.snapshot() else { return };
        let lines = std::mem::take(&mut inner.lines);
        inner.snapshot = Some(Snapshot { at: now, bytes, lines, until: inner.accepted });
        drop(inner);
        self.queue.filled.notify_one();
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.queue.lock().is_closing = true;
        self.queue.filled.notify_one();
        if let Some(thread) = self.thread.take() {
            // It panics nowhere; if it does, there is nothing left to write.
            let _ = thread.join();
        }
    }
}

/// A call as it is kept.
#[derive(Debug)]
pub(crate) struct Line(Vec<u8>);

impl Line {
    /// Of a call at an instant, before it is known whether it is accepted. `None` if it changes nothing.
    pub(crate) fn of(at: Instant, call: &Call) -> Option<Self> {
        #[derive(Serialize)]
        struct Kept<'a> {
            at: Instant,
            call: &'a Call,
        }
        if !call.changes_state() {
            return None;
        }
        let mut line = serde_json::to_vec(&Kept { at, call }).expect("calls are plain data");
        line.push(b'\n');
        Some(Self(line))
    }
}

/// The thread's own.
struct Writer {
    place: Place,
    number: u64,
    file: File,
    /// How much of the file is whole.
    length: u64,
    /// There may be more than that in it: a write that failed.
    is_dirty: bool,
    /// From this length on a snapshot is wanted.
    tail_until: u64,
}

/// What the writer took out of the queue.
#[derive(Default)]
struct Taken {
    lines: Vec<u8>,
    until: u64,
    snapshot: Option<(Instant, Vec<u8>)>,
}

impl Writer {
    fn run(&mut self, queue: &Queue) {
        let mut taken = Taken::default();
        while self.take(queue, &mut taken) {
            if !self.write_lines(queue, &taken) {
                return;
            }
            if let Some((at, snapshot)) = taken.snapshot.take() {
                self.begin_anew(at, &snapshot);
            }
        }
    }

    /// Waits for something to do. False if there is nothing, and nothing will come.
    fn take(&self, queue: &Queue, taken: &mut Taken) -> bool {
        taken.lines.clear();
        let mut inner = queue.lock();
        inner.wants_snapshot |= self.length > self.tail_until && inner.snapshot.is_none();
        while inner.lines.is_empty() && inner.snapshot.is_none() {
            if inner.is_closing {
                return false;
            }
            inner = queue.filled.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        match inner.snapshot.take() {
            // What came after the snapshot belongs behind it, in the new file.
            Some(Snapshot { at, bytes, lines, until }) => {
                *taken = Taken { lines, until, snapshot: Some((at, bytes)) };
            }
            None => {
                std::mem::swap(&mut inner.lines, &mut taken.lines);
                taken.until = inner.accepted;
            }
        }
        true
    }

    /// Writes until it is written. False if the organisation is gone before.
    fn write_lines(&mut self, queue: &Queue, taken: &Taken) -> bool {
        if taken.lines.is_empty() {
            return true;
        }
        let mut written = self.append(&taken.lines);
        while written.is_err() {
            let mut inner = queue.lock();
            inner.is_stuck = true;
            for (_, waiting) in inner.waiting.drain(..) {
                // Who no longer waits needs no answer.
                let _ = waiting.send(Err(NotKept));
            }
            if inner.is_closing {
                return false;
            }
            drop(inner);
            clock::wall::block(RETRY);
            written = self.append(&taken.lines);
        }
        let mut inner = queue.lock();
        inner.is_stuck = false;
        inner.kept = taken.until;
        while let Some((until, waiting)) = inner.waiting.pop_front() {
            if until > taken.until {
                inner.waiting.push_front((until, waiting));
                break;
            }
            let _ = waiting.send(Ok(()));
        }
        true
    }

    /// Adds a frame behind what is whole.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let frame = frames::frame(lines).ok_or(io::ErrorKind::FileTooLarge)?;
        if self.is_dirty {
            self.file.set_len(self.length)?;
        }
        self.is_dirty = true;
        self.file.write_all(&frame)?;
        if self.place.survive == Survive::Machine {
            self.file.sync_data()?;
        }
        self.is_dirty = false;
        self.length += frame.len() as u64;
        Ok(())
    }

    /// Goes on in a new file, which begins with the snapshot. If there is no room for it, the old one grows on.
    fn begin_anew(&mut self, at: Instant, snapshot: &[u8]) {
        match self.place.begin(self.number + 1, at, Some(snapshot)) {
            Ok((file, length)) => {
                let old = self.place.file(self.number);
                self.number += 1;
                self.file = file;
                self.length = length;
                self.is_dirty = false;
                // The old one goes once the new one is sure to stay. If not, the next start removes it.
                let _ = self.place.sync_folder().and_then(|()| std::fs::remove_file(old));
                self.tail_until = length + self.place.tail.max(TAIL_TO_SNAPSHOT * length);
            }
            Err(_) => self.tail_until = self.length + self.place.tail,
        }
    }
}
