//! Kubernetes: started, watched, and the fake node.

pub mod local;
pub mod node;
pub mod watch;
pub mod workspace;

pub use kube::Client;

/// What the API server said, without the debris around it.
fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
