//! The machine among a service, an API server and Jobs that the tests move.

mod any;
mod loops;
mod reconciles;
mod world;

use world::{World, scaled_job};
