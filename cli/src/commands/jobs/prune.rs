//! `rankmill jobs prune`: gives back the space of what nobody needs any more.

use std::time::Duration;

use rankmill_common::{ByteSize, Result};
use rankmill_coordinator::prune::{self, Pruned, Rule};

use super::super::block_on;
use crate::client::{self, Client};
use crate::exit::{Format, Outcome};
use crate::state;
use crate::text::{counted, print};

#[derive(clap::Args)]
pub(super) struct Prune {
    /// Blocks and abandoned runs that nobody has used for this long go: 90m, 36h, 7d
    #[arg(long, value_name = "AGE", default_value = "7d", value_parser = prune::parse_age)]
    older_than: Duration,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    /// Prune the state of runs on this machine instead of a coordinator's: a directory, or
    /// nothing for the default one
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "")]
    state: Option<String>,
}

impl Prune {
    pub(super) fn execute(&self, coordinator: &str, format: Format) -> Outcome {
        let rule = Rule {
            unused_for: self.older_than,
            dry_run: self.dry_run,
        };
        let pruned = block_on(async {
            let pruned = match &self.state {
                Some(place) => here(place, rule).await,
                None => {
                    let client = Client::new(client::dial(coordinator)?);
                    let named = |e| client::name_coordinator(e, coordinator);
                    client.prune(rule).await.map_err(named)
                }
            };
            Ok(pruned?)
        })?;
        Ok(print(&answer(&pruned, rule, format))?)
    }
}

async fn here(place: &str, rule: Rule) -> Result<Pruned> {
    let state = state::open_existing(Some(place).filter(|place| !place.is_empty())).await?;
    prune::prune(&state.store, rule).await
}

fn answer(pruned: &Pruned, rule: Rule, format: Format) -> String {
    if format == Format::Json {
        let json = serde_json::json!({
            "jobs": pruned.jobs,
            "matrices": pruned.matrices,
            "objects": pruned.objects,
            "bytes": pruned.bytes,
            "running": pruned.running,
            "dry_run": rule.dry_run,
        });
        return format!("{json}\n");
    }
    let verb = if rule.dry_run {
        "would remove"
    } else {
        "removed"
    };
    let mut text = format!(
        "{verb} {} in {}: scratch of {}, blocks of {}\n",
        ByteSize(pruned.bytes),
        counted(pruned.objects, "object"),
        counted(pruned.jobs, "job"),
        counted(pruned.matrices, "input")
    );
    if pruned.running > 0 {
        text.push_str(&format!(
            "not ended: {}; blocks stay until then\n",
            counted(pruned.running, "job")
        ));
    }
    text
}
