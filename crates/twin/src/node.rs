//! Pods on nodes in virtual time, with agents inside.
