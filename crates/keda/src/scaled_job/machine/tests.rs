//! The machine among a service, an API server and Jobs that the tests move.
