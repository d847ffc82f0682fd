//! Kubernetes: started, watched, and the fake node.

pub mod local;
pub mod watch;
pub mod workspace;
