//! An event log gives findings.
