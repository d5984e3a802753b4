//! `rankmill health`: does a coordinator answer, and does it lead? For probes and scripts.

use std::time::Duration;

use rankmill_common::{Error, ErrorKind};
use rankmill_proto::pb::job_service_server::SERVICE_NAME;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::block_on;
use crate::client;
use crate::exit::{Failure, Outcome};
use crate::text::print;

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Exits with 0 if the coordinator answers, and with an error code otherwise.
#[derive(clap::Args)]
pub(crate) struct Health {
    /// Where one coordinator listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7070")]
    coordinator: String,
    /// Require that it leads; a standby does not
    #[arg(long)]
    leader: bool,
}

impl Health {
    pub(crate) fn execute(self) -> Outcome {
        block_on(async {
            let channel = client::dial_one(&self.coordinator)?;
            let request = HealthCheckRequest {
                service: if self.leader { SERVICE_NAME } else { "" }.to_owned(),
            };
            let mut health = HealthClient::new(channel);
            let unavailable = |reason: &str| {
                let message = format!("{}: {reason}", self.coordinator);
                Failure::from(Error::new(ErrorKind::Unavailable, message))
            };
            let answer = tokio::time::timeout(PATIENCE, health.check(request))
                .await
                .map_err(|_| unavailable("no answer"))?
                .map_err(|status| unavailable(status.message()))?;
            if answer.into_inner().status() != ServingStatus::Serving {
                return Err(unavailable("a standby: it answers, but does not lead"));
            }
            Ok(print("ok\n")?)
        })
    }
}
