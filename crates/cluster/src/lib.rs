//! Kubernetes: started, watched, and the fake node.

pub mod local;
pub mod node;
pub mod watch;
pub mod workspace;

pub use kube::Client;
