//! Whole lives of pods against the service.
