//! The bounds of an organisation: nothing in it grows without end. A bound that
//! is reached is an error to the caller, or makes the oldest finished thing go.

/// How many pools an organisation may have.
pub const MAX_POOLS: usize = 1_000;
/// How many queues an organisation may have.
pub const MAX_QUEUES: usize = 100_000;
/// How many properties a pool or an agent may have.
pub const MAX_PROPERTIES: usize = 100;
/// The longest text that is kept with a pool, in bytes.
pub const MAX_METADATA: usize = 1 << 20;
/// How many agents an organisation may have.
pub const MAX_AGENTS: usize = 20_000;
/// The longest name of a pool, an agent or a definition, in bytes.
pub const MAX_NAME: usize = 256;
/// How many definitions an organisation may have: as many as a scenario may have builds, each with its own durations.
pub const MAX_DEFINITIONS: usize = 100_000;
/// How many deleted definitions an organisation keeps for their builds.
pub const MAX_DELETED_DEFINITIONS: usize = 1_000;
/// How many revisions of a definition are listed: the latest.
pub const MAX_REVISIONS: usize = 100;
/// The longest comment on a revision, in bytes.
pub const MAX_COMMENT: usize = 2_048;
/// How many bytes of what a client says of a definition are kept.
pub const MAX_DEFINITION_BYTES: usize = 256 * 1024;
/// How many bytes of what clients say of all definitions an organisation keeps.
pub const MAX_TOLD_BYTES: usize = 64 * 1024 * 1024;
/// How many jobs a definition may name.
pub const MAX_JOBS_OF_BUILD: usize = 10_000;
/// How many projects an organisation may have.
pub const MAX_PROJECTS: usize = 1_000;
/// How many of the latest changes of projects are known as operations.
pub const MAX_OPERATIONS: u64 = 1_000;
/// The longest description of a project, in bytes.
pub const MAX_DESCRIPTION: usize = 16 * 1024;
/// How many tags a build may have.
pub const MAX_TAGS: usize = 100;
/// How many bytes of what is said about a build are kept: its parameters, its variables, its tags.
pub const MAX_BUILD_BYTES: usize = 64 * 1024;
/// How many bytes of what is said about builds an organisation keeps. The oldest completed builds make room.
pub const MAX_ALL_BUILDS_BYTES: usize = 256 * 1024 * 1024;
/// How often a stage of a build is run again.
pub const MAX_RETRIES: u32 = 100;
/// How many completed builds an organisation keeps.
pub const MAX_COMPLETED_BUILDS: usize = 10_000;
/// How many requests of an organisation may be without a result.
pub const MAX_UNFINISHED_REQUESTS: usize = 100_000;
/// How many bytes the texts of a request have that somebody queued directly.
pub const MAX_REQUEST_BYTES: usize = 4 * 1024;
/// How many bytes all of these have.
pub const MAX_DIRECT_BYTES: usize = 64 * 1024 * 1024;
/// How many messages that somebody sent a session keeps.
pub const MAX_SENT_MESSAGES: usize = 100;
/// How many bytes such a message has.
pub const MAX_SENT_TEXT: usize = 256 * 1024;
/// How many bytes all of these have.
pub const MAX_SENT_BYTES: usize = 64 * 1024 * 1024;
/// How many finished requests a pool keeps. Public reports speak of 10,000 and more (blue-agent#360).
pub const MAX_FINISHED_REQUESTS: usize = 10_000;
/// How many rows a list with `$top` has, whatever the number asked for (kedacore/keda#6819).
pub const MAX_ROWS_WITH_TOP: usize = 200;
/// How many polls of a session are held at once: the real agent has two. One more ends the oldest,
/// as an empty one.
pub const MAX_HELD_POLLS: usize = 2;
/// How many listener tokens, and how many used assertions, an organisation keeps.
pub const MAX_ISSUED_TOKENS: usize = 100_000;
/// How long an assertion may be good for from now on, in seconds, as those that were used are kept until they run out.
/// Agents make them for five minutes (actions/runner shares the code: VssOAuthJwtBearerAssertion.cs).
pub const MAX_ASSERTION_SECONDS: i64 = 60 * 60;
/// The longest identifier of an assertion, in bytes. Agents send a GUID.
pub const MAX_ASSERTION_ID: usize = 256;
/// How many characters of what an agent says about its update are kept.
pub const MAX_UPDATE_STATE: usize = 1_024;
/// Of how many plans an organisation keeps what workers report.
pub const MAX_REPORTED_PLANS: usize = 1_000;
/// How many bytes of reports an organisation keeps, about.
pub const MAX_REPORTED_BYTES: usize = 128 * 1024 * 1024;
/// How many timelines a plan has.
pub const MAX_TIMELINES: usize = 1_000;
/// How many records a timeline has.
pub const MAX_RECORDS: usize = 20_000;
/// How many logs a plan has.
pub const MAX_LOGS: usize = 20_000;
/// How many bytes a log has.
pub const MAX_LOG_BYTES: usize = 8 * 1024 * 1024;
/// How many attachments a plan has.
pub const MAX_ATTACHMENTS: usize = 1_000;
/// How many lines for whoever watches are kept of a record: the latest.
pub const MAX_FEED_LINES: usize = 1_000;
/// How many characters such a line has. The agent cuts them itself, to this and three dots
/// (azure-pipelines-agent, JobServerQueue.cs, `ProcessWebConsoleLinesQueueAsync`).
pub const MAX_FEED_LINE: usize = 1_024 + 3;
/// How many lists of demands a pool remembers the matching agents of, until it forgets them all.
pub(crate) const MAX_REMEMBERED_MATCHES: usize = 1_000;
