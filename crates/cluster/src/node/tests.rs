//! The node against a fake API server, without a socket.

mod api;
mod faults;
mod pods;
