//! `rankmill import`: turns other formats into Parquet, streaming.
//!
//! Errors name the line. Nothing is left behind when an import fails.

mod column;
mod csv;
mod edges;
mod lines;
mod mtx;
mod npy;
mod quotes;
mod sink;

use std::path::{Path, PathBuf};

use rankmill_common::{Error, Result};

use crate::exit::Outcome;
use crate::local_file::Target;
use crate::text::{grouped, tell};

#[derive(clap::Args)]
pub(crate) struct Import {
    #[command(subcommand)]
    format: Format,
}

#[derive(clap::Subcommand)]
enum Format {
    /// Matrix Market, coordinate or array, as row, col, value; indices start at 0
    Mtx {
        #[command(flatten)]
        files: Files,
    },
    /// CSV; types are inferred from the first rows
    Csv {
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        options: csv::CsvOptions,
    },
    /// Edge lists as SNAP has them, as src, dst and weight if there is a third column
    Edges {
        #[command(flatten)]
        files: Files,
        /// Keep ids as text even where they look like numbers
        #[arg(long)]
        text_ids: bool,
    },
    /// A two-dimensional NumPy array, as id, vector
    Npy {
        #[command(flatten)]
        files: Files,
    },
}

#[derive(clap::Args)]
struct Files {
    /// The file to read
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The Parquet file to write
    #[arg(short, long, value_name = "OUT.parquet")]
    output: String,
    /// Replace what is there
    #[arg(long)]
    overwrite: bool,
}

/// What an import made.
struct Imported {
    rows: u64,
    /// What else a person should know, e.g. the shape of the matrix.
    note: String,
}

impl Import {
    pub(crate) fn execute(self) -> Outcome {
        let (place, imported) = match self.format {
            Format::Mtx { files } => files.import(mtx::import)?,
            Format::Csv { files, options } => {
                files.import(|file, place| csv::import(file, &options, place))?
            }
            Format::Edges { files, text_ids } => {
                files.import(|file, place| edges::import(file, text_ids, place))?
            }
            Format::Npy { files } => files.import(npy::import)?,
        };
        tell(format_args!(
            "{} rows in {}{}",
            grouped(imported.rows),
            place.display(),
            imported.note
        ));
        Ok(())
    }
}

impl Files {
    /// Runs `import` on the file and the place for its Parquet, which must be free.
    fn import(
        self,
        import: impl FnOnce(&Path, &Path) -> Result<Imported>,
    ) -> Result<(PathBuf, Imported)> {
        let target = Target::parse(&self.output)?;
        let place = match &target {
            Target::File(path) => path.clone(),
            Target::Directory(path) => {
                return Err(Error::invalid_input(format!(
                    "{}: the output of an import is one file that ends in .parquet",
                    path.display()
                )));
            }
        };
        target.check(self.overwrite)?;
        if let (Ok(file), Ok(there)) = (self.file.canonicalize(), place.canonicalize())
            && file == there
        {
            return Err(Error::invalid_input(format!(
                "{}: the file to import cannot be the output as well",
                place.display()
            )));
        }
        let imported = import(&self.file, &place)?;
        Ok((place, imported))
    }
}
