//! The service over real sockets: what clients send and what they get.

mod access;
mod builds;
mod client;
mod definitions;
mod discovery;
mod fault_kinds;
mod faults;
mod held;
mod keda;
mod life;
mod limits;
mod pools;
mod quirks;
mod safety;
