//! A scenario on an engine gives an event log.
