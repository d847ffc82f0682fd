//! The router: what needs no token are routes of their own, all else is below an organisation.
//!
//! Azure DevOps matches paths whatever their case, with and without a project, so the paths of
//! organisations go through the router's fallback into a closed list of routes (`routes`).

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;

use azure_devops::Refusal;

use crate::packages::DOWNLOADS;
use crate::responses::{self, SIGN_IN};
use crate::{Hub, handler, openapi};

/// Whether the server lives.
const HEALTH: &str = "/_poolproof/health";
/// What can be asked.
const OPENAPI: &str = "/_poolproof/openapi.json";

pub(crate) fn router(hub: Arc<Hub>) -> Router {
    Router::new()
        .route(HEALTH, get(health))
        .route(OPENAPI, get(openapi))
        .route(SIGN_IN, get(sign_in))
        .route(&format!("{DOWNLOADS}{{file_name}}"), get(download))
        .method_not_allowed_fallback(nothing_here)
        .fallback(handler::answer)
        .with_state(hub)
}

async fn health() -> Response {
    responses::json("{\"status\":\"ok\"}")
}

async fn openapi() -> Response {
    responses::json(openapi::document().to_string())
}

async fn sign_in() -> Response {
    responses::sign_in_page()
}

/// An agent package, which start scripts download without a token.
async fn download(State(hub): State<Arc<Hub>>, Path(file_name): Path<String>, uri: Uri) -> Response {
    match hub.packages.iter().find(|offer| offer.file_name == file_name) {
        Some(offer) => responses::package(offer.bytes.clone()),
        None => nothing_here(uri).await,
    }
}

async fn nothing_here(uri: Uri) -> Response {
    responses::refusal(&Refusal::NothingHere(uri.path().to_owned()))
}
