//! Kubernetes' controllers and scheduler decided, with the objects that they share.
