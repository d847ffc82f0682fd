//! The state of an organisation on disk: every call that it accepted, before anybody is told.
//!
//! `azure_devops::Service` is a function of its settings and of the calls that changed it, with their instants;
//! so these calls are what is kept, as lines of JSON: a call is some hundred bytes, it can be read by people, and
//! what scenarios and calls have in common leaves members out, which formats without names cannot read back.
//! From time to time a snapshot takes the place of all calls before it, in a file of its own.
//!
//! `frames` is the file, `folder` is who may use it and how an organisation is made again, `writer` is the thread
//! that writes.

mod folder;
mod frames;
mod writer;

pub use folder::{State, StateError, Survive};
pub(crate) use writer::{Journal, Line, NotKept, Ticket};
