//! What a Job does, by the clock.
