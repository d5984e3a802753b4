//! `rankmill coordinator`: serves jobs from a state store.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rankmill_common::{Error, ErrorKind};
use rankmill_coordinator::{Coordinator, CoordinatorConfig, Role};
use rankmill_store::Store;
use tonic::transport::server::TcpIncoming;

use super::block_on;
use crate::exit::{Failure, Outcome};
use crate::text::tell;
use crate::{interrupt, machine};

/// Accepts jobs and hands their tasks to workers. Its state store holds everything: a second
/// coordinator on the same store waits as a standby and takes over when the first one falls silent.
#[derive(clap::Args)]
pub(crate) struct CoordinatorArgs {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// Directory or URL of the state store; workers must reach it under the same name
    #[arg(long, value_name = "URL_OR_DIR")]
    state: String,
    /// Settings (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How other machines reach this coordinator [default: http:// and the address of --listen]
    #[arg(long, value_name = "URL")]
    advertise: Option<String>,
    /// Listen beyond this machine, although there is neither TLS nor a password yet
    #[arg(long)]
    insecure: bool,
}

impl CoordinatorArgs {
    pub(crate) fn execute(self) -> Outcome {
        if !self.listen.ip().is_loopback() && !self.insecure {
            return Err(Failure::usage(format!(
                "{} can be reached from other machines, and whoever reaches it may read and write \
                 what this process can: there is no TLS yet. In a private network, add --insecure",
                self.listen
            )));
        }
        let config = match &self.config {
            Some(path) => read_config(path)?,
            None => CoordinatorConfig::default(),
        };
        block_on(async {
            let listener = TcpIncoming::bind(self.listen)
                .map_err(|e| cannot_listen(self.listen, &e))?
                .with_nodelay(Some(true));
            let address = listener.local_addr().unwrap_or(self.listen);
            let state = Store::open(&self.state)?;
            let url = state.location().url();
            let name = self.advertise.unwrap_or_else(|| own_name(address));
            tell(format_args!(
                "coordinator on http://{address}, state in {url}"
            ));
            let coordinator = Coordinator::one_of_several(state, config, name);
            coordinator
                .serve(listener, interrupt::requested(), |role| say(&role))
                .await?;
            tell("coordinator ended; jobs continue when one starts on the same state");
            Ok(())
        })
    }
}

/// A name that only one process at a time can have: it listens there.
fn own_name(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("http://{}:{}", machine::host(), address.port())
    } else if address.ip().is_loopback() {
        format!("http://{address} on {}", machine::host())
    } else {
        format!("http://{address}")
    }
}

fn say(role: &Role) {
    match role {
        Role::Standby(Some(leader)) => tell(format_args!("standing by; {leader} leads")),
        Role::Standby(None) => tell("standing by"),
        Role::Leader => tell("leading"),
        Role::SteppedDown(error) => tell(format_args!("no longer leading: {error}")),
    }
}

pub(super) fn read_config(path: &Path) -> Outcome<CoordinatorConfig> {
    let named = |e: &dyn std::fmt::Display| Failure::usage(format!("{}: {e}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| named(&e))?;
    let config: CoordinatorConfig =
        toml::from_str(&text).map_err(|e| named(&e.to_string().trim_end()))?;
    config.validate().map_err(|e| named(&e))?;
    Ok(config)
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("cannot listen on {address}: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outside_needs_a_word() {
        let args = CoordinatorArgs {
            listen: SocketAddr::from(([0, 0, 0, 0], 0)),
            state: "memory://x".to_owned(),
            config: None,
            advertise: None,
            insecure: false,
        };
        let refused = args.execute();
        assert!(matches!(refused, Err(Failure::Usage(text)) if text.contains("--insecure")));
    }
}
