//! Logs for tests.
