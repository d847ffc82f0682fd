//! The folder of a state: whose it is, what is in it, and what it is refused for.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use azure_devops::{Call, NotASnapshot, Reply, Service, Settings};
use clock::Clock;
use model::Instant;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::organization::AddError;

use super::frames::{self, Rest};
use super::writer::Journal;

/// What the files look like and mean. Raised when an older file would be read as something else.
const FORMAT: u32 = 2;
/// The version that writes here.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The file that says that the folder is in use.
const LOCK: &str = "lock";
/// What journals are called, before their number.
const JOURNAL: &str = "journal-";
/// A journal that is not whole yet.
const UNFINISHED: &str = ".new";
/// The setting that is told to nobody: tokens come from it.
const SEED: &str = "seed";
/// How long a journal may get beyond its snapshot, whatever the snapshot's length: it is read within a second
/// or so.
const LEAST_TAIL: u64 = 16 * 1024 * 1024;
/// Folder and files are their owner's: secrets of running jobs are among what is kept.
const OWN_FOLDER: u32 = 0o700;
const OWN_FILE: u32 = 0o600;

/// What a kept call must survive before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Survive {
    /// The end of the process, however sudden: it is in the system's hands, who writes it down soon.
    #[default]
    Process,
    /// The end of the machine: the disk says that it has it.
    Machine,
}

/// A folder with an organisation's state, which nobody else uses as long as this lives.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    /// Locked until it is closed, which the system does for whoever is killed.
    lock: File,
    survive: Survive,
    /// How long a journal may get beyond its snapshot, at least.
    tail: u64,
    found: Option<Found>,
}

/// A journal that was there.
#[derive(Debug)]
struct Found {
    number: u64,
    header: Header,
    bytes: Vec<u8>,
    /// How much of it is whole.
    whole: usize,
    last: Instant,
    /// When both clocks were last read.
    read: ClockRead,
}

/// Our time, that of the wall in milliseconds since 1970, and how much faster ours went from then on.
#[derive(Debug, Clone, Copy)]
struct ClockRead {
    at: Instant,
    wall: u64,
    speed: u32,
}

/// The line of a server that goes on at another speed: what its calls' lines begin with is something else.
#[derive(Debug, Serialize, Deserialize)]
struct ClockLine {
    clock: WallAndSpeed,
    at: Instant,
}

#[derive(Debug, Serialize, Deserialize)]
struct WallAndSpeed {
    wall: u64,
    speed: u32,
}

/// What such a line begins with.
const CLOCK_LINE: &[u8] = b"{\"clock\":";

impl ClockRead {
    /// What our time is now, if it went on since then.
    fn went_on(self) -> Instant {
        let away = clock::wall::date().saturating_sub(Duration::from_millis(self.wall));
        let went = u64::try_from(away.as_millis()).unwrap_or(u64::MAX).saturating_mul(self.speed.into());
        Instant(self.at.0.saturating_add(went))
    }

    /// The last one of a journal.
    fn last(header: &Header, lines: &[&[u8]]) -> Self {
        let lines = lines.iter().flat_map(|frame| frame.split(|byte| *byte == b'\n'));
        let mut reads = lines.filter(|line| line.starts_with(CLOCK_LINE)).map(serde_json::from_slice);
        match reads.rfind(Result::is_ok) {
            Some(Ok(ClockLine { clock, at })) => Self { at, wall: clock.wall, speed: clock.speed },
            _ => Self { at: header.at, wall: header.wall, speed: header.speed },
        }
    }
}

/// The first frame of a journal.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: u32,
    version: String,
    /// The date of the organisation's beginning, since 1970, in nanoseconds.
    epoch: u128,
    /// The time when this was written, ours and that of the wall, in milliseconds since 1970.
    at: Instant,
    wall: u64,
    speed: u32,
    /// All settings that decide what a call comes to.
    settings: Map<String, Value>,
    /// Whether the next frame is a snapshot.
    snapshot: bool,
}

/// A call that was accepted, and when.
#[derive(Debug, Deserialize)]
struct Kept {
    at: Instant,
    call: Call,
}

/// Why a state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The organisation cannot be added, whatever its state.
    #[error(transparent)]
    Organization(#[from] AddError),
    /// The system said no.
    #[error("cannot use {}: {error}", path.display())]
    Io {
        /// What for.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// Two servers would write over each other.
    #[error(
        "{} is in use by another server{}; end that one, or give this one a folder of its own",
        folder.display(), process.as_ref().map(|id| format!(" (process {id})")).unwrap_or_default()
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// Its process, if it says so.
        process: Option<u32>,
    },
    /// Another version may decide otherwise.
    #[error(
        "{} was written by poolproof {theirs}, and this is {VERSION}, which may decide otherwise; serve it with \
         poolproof {theirs}, or move the folder away to begin anew", folder.display()
    )]
    OtherVersion {
        /// The folder.
        folder: PathBuf,
        /// Who wrote it.
        theirs: String,
    },
    /// With other settings the calls would come to something else.
    #[error(
        "{} was begun with {member} = {was}, and is to be continued with {is}; give the same settings as then, or \
         move the folder away to begin anew", folder.display()
    )]
    OtherSettings {
        /// The folder.
        folder: PathBuf,
        /// What differs.
        member: String,
        /// What it was.
        was: String,
        /// What it would be.
        is: String,
    },
    /// Something else than an interrupted write happened to the file.
    #[error(
        "{} is damaged from byte {at} on, and what comes after cannot be trusted; put a copy of the folder in its \
         place, or move it away to begin anew", file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The first byte that is not understood.
        at: usize,
    },
    /// The calls come to something else than they did.
    #[error(
        "{}: call {number} was accepted when it was made, and is refused now ({because}): another build of poolproof \
         wrote this; serve it with that one, or move the folder away to begin anew", file.display()
    )]
    Diverged {
        /// The file.
        file: PathBuf,
        /// Which call of the file, from 1.
        number: usize,
        /// Why it is refused.
        because: String,
    },
    /// The snapshot is another version's.
    #[error("{}: {error}; serve it with the build that wrote it, or move the folder away to begin anew", file.display())]
    Snapshot {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        error: NotASnapshot,
    },
}

impl State {
    /// Takes a folder, which is made if it is not there.
    ///
    /// # Errors
    /// If somebody else uses it, if it cannot be read, or if another version wrote it.
    pub fn open(folder: &Path, survive: Survive) -> Result<Self, StateError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |error| StateError::Io { path, error }
        };
        DirBuilder::new().recursive(true).mode(OWN_FOLDER).create(folder).map_err(failed(folder))?;
        let lock = lock(folder)?;
        let numbers = journals(folder).map_err(failed(folder))?;
        let found = match numbers.last() {
            None => None,
            Some(number) => read(folder, *number)?,
        };
        // The one with the highest number has all that the others have.
        for number in numbers.iter().rev().skip(1) {
            let path = journal(folder, *number);
            fs::remove_file(&path).map_err(failed(&path))?;
        }
        Ok(Self { folder: folder.to_path_buf(), lock, survive, tail: LEAST_TAIL, found })
    }

    /// Has a snapshot taken once the journal is so many bytes longer than the last one, if not before.
    #[must_use]
    pub fn with_tail(self, bytes: u64) -> Self {
        Self { tail: bytes, ..self }
    }

    /// Whether somebody served it before.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.found.is_none()
    }

    /// How many bytes at the end were not written to their end, and are cut off.
    #[must_use]
    pub fn torn(&self) -> usize {
        self.found.as_ref().map_or(0, |found| found.bytes.len() - found.whole)
    }

    /// What it was begun with as the seed of every random choice.
    #[must_use]
    pub fn seed(&self) -> Option<u64> {
        self.found.as_ref()?.header.settings.get(SEED)?.as_u64()
    }

    /// The time of the organisation: it goes on while nobody serves it, and never back.
    #[must_use]
    pub fn clock(&self, speed: u32) -> Clock {
        let Some(found) = &self.found else { return Clock::start(speed) };
        let at = found.read.went_on().max(found.last);
        let epoch = Duration::from_nanos(u64::try_from(found.header.epoch).unwrap_or(u64::MAX));
        Clock::resume(speed, epoch, at)
    }

    /// The organisation as it was when its last call was acknowledged, and the journal that goes on from there.
    pub(crate) fn resume(self, settings: Settings, clock: &Clock) -> Result<(Service, Journal), StateError> {
        let kept = settings.kept();
        let Self { folder, lock, survive, tail, found } = self;
        let speed = clock.speed();
        let (service, number, open) = match found {
            None => (Service::new(settings), 0, None),
            Some(found) => {
                same_settings(&folder, &found.header.settings, &kept)?;
                let file = journal(&folder, found.number);
                let service = replay(&file, &found, settings)?;
                let line = (found.read.speed != speed).then(|| clock_line(clock));
                (service, found.number, Some(Open { whole: found.whole, line: line.unwrap_or_default() }))
            }
        };
        let place = Place { folder, lock, survive, tail, settings: kept, epoch: clock.epoch(), speed };
        let journal = Journal::start(place, number, open, clock.now())?;
        Ok((service, journal))
    }
}

/// A journal that goes on.
#[derive(Debug)]
pub(super) struct Open {
    /// How much of it is whole.
    pub(super) whole: usize,
    /// What is to be told before any call; nothing if it is empty.
    pub(super) line: Vec<u8>,
}

/// Tells that from now on time goes at this clock's speed.
fn clock_line(clock: &Clock) -> Vec<u8> {
    let clock_read = WallAndSpeed { wall: wall(), speed: clock.speed() };
    let line = ClockLine { clock: clock_read, at: clock.now() };
    let mut line = serde_json::to_vec(&line).expect("numbers are JSON");
    line.push(b'\n');
    line
}

/// The date, in milliseconds since 1970.
fn wall() -> u64 {
    u64::try_from(clock::wall::date().as_millis()).unwrap_or(u64::MAX)
}

/// Where a journal is, and what its headers say.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    #[expect(dead_code, reason = "what counts is that it stays open")]
    lock: File,
    pub(super) survive: Survive,
    pub(super) tail: u64,
    settings: Map<String, Value>,
    epoch: Duration,
    speed: u32,
}

impl Place {
    pub(super) fn file(&self, number: u64) -> PathBuf {
        journal(&self.folder, number)
    }

    /// Opens a journal that is there, and cuts off what is not whole.
    pub(super) fn open(&self, number: u64, whole: u64) -> io::Result<File> {
        let file = OpenOptions::new().append(true).open(self.file(number))?;
        file.set_len(whole)?;
        Ok(file)
    }

    /// Makes a journal that begins with a snapshot, if there is one. It is there as a whole or not at all.
    pub(super) fn begin(&self, number: u64, at: Instant, snapshot: Option<&[u8]>) -> io::Result<(File, u64)> {
        let too_long =
            || io::Error::new(io::ErrorKind::FileTooLarge, "the state is too large for a snapshot");
        let header = Header {
            format: FORMAT,
            version: VERSION.to_owned(),
            epoch: self.epoch.as_nanos(),
            at,
            wall: wall(),
            speed: self.speed,
            settings: self.settings.clone(),
            snapshot: snapshot.is_some(),
        };
        let mut bytes = frames::MAGIC.to_vec();
        bytes.extend(frames::frame(&serde_json::to_vec(&header)?).ok_or_else(too_long)?);
        if let Some(snapshot) = snapshot {
            bytes.extend(frames::frame(snapshot).ok_or_else(too_long)?);
        }
        let path = self.file(number);
        let unfinished = path.with_extension(&UNFINISHED[1..]);
        let begun = self.write_beginning(&unfinished, &path, &bytes);
        if begun.is_err() {
            // Whatever is there only takes room, and there may be none left.
            let _ = fs::remove_file(&unfinished);
        }
        begun.map(|file| (file, bytes.len() as u64))
    }

    fn write_beginning(&self, unfinished: &Path, path: &Path, bytes: &[u8]) -> io::Result<File> {
        let _ = fs::remove_file(unfinished);
        let mut file = OpenOptions::new().append(true).create_new(true).mode(OWN_FILE).open(unfinished)?;
        file.write_all(bytes)?;
        // Whatever has to survive: the old journal goes once the new one is there, on the disk.
        file.sync_all()?;
        fs::rename(unfinished, path)?;
        Ok(file)
    }

    /// Has the disk know which files there are.
    pub(super) fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

fn journal(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{JOURNAL}{number:08}"))
}

/// The numbers of the journals that are there, in order. Those that were not finished are removed.
fn journals(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(JOURNAL)) else { continue };
        if rest.ends_with(UNFINISHED) {
            fs::remove_file(entry.path())?;
        } else if let Ok(number) = rest.parse() {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes the folder ours, and says so in it.
fn lock(folder: &Path) -> Result<File, StateError> {
    let path = folder.join(LOCK);
    let failed = |error| StateError::Io { path: path.clone(), error };
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(OWN_FILE);
    let mut file = options.open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let process = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(StateError::InUse { folder: folder.to_path_buf(), process });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // For people: what counts is the lock. On a full disk the folder can still be read.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

/// Reads a journal. `None` if its maker was ended before it held anything.
fn read(folder: &Path, number: u64) -> Result<Option<Found>, StateError> {
    let file = journal(folder, number);
    let bytes = fs::read(&file).map_err(|error| StateError::Io { path: file.clone(), error })?;
    let (frames, rest) = frames::read(&bytes);
    let whole = match rest {
        Rest::Nothing => bytes.len(),
        Rest::Torn(at) => at,
        Rest::Damaged(at) => return Err(StateError::Damaged { file, at }),
    };
    let damaged = || StateError::Damaged { file: file.clone(), at: frames::MAGIC.len() };
    let Some(first) = frames.first() else { return Err(damaged()) };
    // Of another version's header only what every version has is read.
    #[derive(Deserialize)]
    struct Version {
        format: u32,
        version: String,
    }
    let version: Version = serde_json::from_slice(first).map_err(|_| damaged())?;
    if version.format != FORMAT || version.version != VERSION {
        let theirs = match version.version == VERSION {
            true => format!("{VERSION} of another build"),
            false => version.version,
        };
        return Err(StateError::OtherVersion { folder: folder.to_path_buf(), theirs });
    }
    let header: Header = serde_json::from_slice(first).map_err(|_| damaged())?;
    if header.snapshot && frames.len() < 2 {
        return Err(damaged());
    }
    #[derive(Deserialize)]
    struct When {
        at: Instant,
    }
    let calls = &frames[1 + usize::from(header.snapshot)..];
    let last_line =
        calls.last().and_then(|lines| lines.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()));
    let last = last_line.and_then(|line| serde_json::from_slice::<When>(line).ok());
    let last = last.map_or(header.at, |when| when.at.max(header.at));
    let read = ClockRead::last(&header, calls);
    Ok(Some(Found { number, header, bytes, whole, last, read }))
}

/// Makes the service again.
fn replay(file: &Path, found: &Found, settings: Settings) -> Result<Service, StateError> {
    let (frames, _) = frames::read(&found.bytes);
    let mut frames = frames.into_iter().skip(1);
    let mut service = match frames.next().filter(|_| found.header.snapshot) {
        Some(snapshot) => Service::restore(settings, snapshot)
            .map_err(|error| StateError::Snapshot { file: file.to_path_buf(), error })?,
        None => Service::new(settings),
    };
    // What happened was told when it did, the beginning included.
    let _ = service.advance(Instant::START);
    service.want_facts(false);
    let calls = frames::read(&found.bytes).0.into_iter().skip(1 + usize::from(found.header.snapshot));
    let lines = calls.flat_map(|frame| frame.split(|byte| *byte == b'\n'));
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(CLOCK_LINE));
    for (number, line) in lines.enumerate() {
        let diverged =
            |because| StateError::Diverged { file: file.to_path_buf(), number: number + 1, because };
        let kept: Kept = serde_json::from_slice(line).map_err(|error| diverged(error.to_string()))?;
        if let (Reply::Refused(refusal), _) = service.handle(kept.at, kept.call) {
            return Err(diverged(refusal.to_string()));
        }
    }
    service.want_facts(true);
    Ok(service)
}

fn same_settings(folder: &Path, was: &Map<String, Value>, is: &Map<String, Value>) -> Result<(), StateError> {
    let missing = Value::Null;
    let mut members: Vec<&String> = was.keys().chain(is.keys()).collect();
    members.sort_unstable();
    for member in members {
        let (was, is) = (was.get(member).unwrap_or(&missing), is.get(member).unwrap_or(&missing));
        if was != is {
            return Err(StateError::OtherSettings {
                folder: folder.to_path_buf(),
                member: member.clone(),
                was: if member == SEED { "another one".to_owned() } else { was.to_string() },
                is: is.to_string(),
            });
        }
    }
    Ok(())
}
