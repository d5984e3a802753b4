//! `rankmill doctor`: does what rankmill stands on keep its promises?

mod race;
mod store;

use crate::exit::{Format, Outcome};

/// Tries what rankmill relies on, and says plainly what does not hold.
#[derive(clap::Args)]
pub(crate) struct Doctor {
    #[command(subcommand)]
    patient: Patient,
}

#[derive(clap::Subcommand)]
enum Patient {
    /// Try an object store or a directory: reads, writes, and who wins when many create one object
    Store(store::StoreArgs),
}

impl Doctor {
    pub(crate) fn format(&self) -> Format {
        match &self.patient {
            Patient::Store(args) => Format::json_if(args.json),
        }
    }

    pub(crate) fn execute(self) -> Outcome {
        match self.patient {
            Patient::Store(args) => args.execute(),
        }
    }
}
