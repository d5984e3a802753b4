//! What load balancers and Prometheus ask by HTTP/1.1, on the same port as gRPC.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::metrics;
use crate::seat::Seat;

/// `/healthz`: this process answers. `/readyz`: it leads. `/metrics`: what it counts.
pub(crate) fn routes(seat: Seat) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(page))
        .with_state(seat)
}

async fn ready(State(seat): State<Seat>) -> (StatusCode, String) {
    match seat.leads() {
        Ok(()) => (StatusCode::OK, "leading\n".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}

async fn page(State(seat): State<Seat>) -> String {
    metrics::page(seat.metrics())
}
