//! Kubernetes: started, watched, and the fake node.
