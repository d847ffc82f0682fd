//! What the service decides, rule by rule, through the calls that clients make.

mod agents;
mod assignment;
mod builds;
mod definitions;
mod direct_requests;
mod driver;
mod endings;
mod job_requests;
mod listening;
mod oauth;
mod parallel;
mod pipelines;
mod plans;
mod pools;
mod projects;
mod queues;
mod quirks;
