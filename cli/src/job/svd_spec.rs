//! The one conversion from [`SvdArgs`] to a validated [`JobSpec`].

use rankmill_common::input::{DenseLayout, Ids, InputSpec, Layout, SparseLayout, Transform};
use rankmill_common::job::JobSpec;
use rankmill_common::job::svd::{Centering, Convergence, Rank, SvdSpec, defaults};

use super::places::Places;
use super::svd_args::SvdArgs;
use super::words::IdKind;
use crate::exit::{Failure, Outcome};

impl SvdArgs {
    /// What runs. Paths become absolute URLs, defaults are spelled out, parameters are checked
    /// against each other and the output against the input. Reads nothing.
    pub(crate) fn into_spec(self) -> Outcome<JobSpec> {
        if self.input.is_empty() {
            return Err(Failure::usage(
                "no INPUT: name Parquet files, directories or globs",
            ));
        }
        let layout = self.layout()?;
        let rank = self.rank()?;
        let places = Places::of(&self.input, self.output.as_deref(), self.overwrite)?;
        let spec = JobSpec::Svd(SvdSpec {
            input: InputSpec {
                paths: places.inputs,
                layout,
                on_bad_row: self.on_bad_row.unwrap_or_default(),
            },
            output: places.output,
            rank,
            block_width: self.block_width(rank)?,
            tol: self.tol.unwrap_or(defaults::TOL),
            max_reads: self.max_reads.unwrap_or(defaults::MAX_READS),
            method: self.method.unwrap_or_default(),
            centering: if self.center {
                Centering::Columns
            } else {
                Centering::None
            },
            seed: self.seed.unwrap_or(defaults::SEED),
            convergence: if self.strict {
                Convergence::Require
            } else {
                Convergence::Report
            },
        });
        spec.validate()?;
        Ok(spec)
    }

    fn rank(&self) -> Outcome<Rank> {
        match (self.k, self.energy) {
            (Some(k), None) => Ok(Rank::Fixed { k }),
            (at_most, Some(fraction)) => Ok(Rank::Energy {
                fraction,
                at_most: at_most.unwrap_or(defaults::ENERGY_LIMIT),
            }),
            (None, None) => Err(Failure::usage(
                "how many components? -k says it, e.g. -k 64, or --energy, e.g. --energy 0.9",
            )),
        }
    }

    fn block_width(&self, rank: Rank) -> Outcome<Option<u32>> {
        match (self.oversample, self.block_width) {
            (Some(_), Some(_)) => Err(Failure::usage(
                "--oversample and --block-width say the same in two ways: choose one",
            )),
            (Some(more), None) => Ok(Some(rank.limit().saturating_add(more))),
            (None, width) => Ok(width),
        }
    }

    fn layout(&self) -> Outcome<Layout> {
        let sparse = first_given(&self.sparse_flags());
        let dense = first_given(&self.dense_flags());
        match (sparse, dense) {
            (Some(sparse), Some(dense)) => Err(Failure::usage(format!(
                "{sparse} is for sparse input and {dense} for dense input: choose --row and \
                 --col, or --vector"
            ))),
            (None, Some(_)) => self.dense_layout().map(Layout::Dense),
            (Some(_), None) => self.sparse_layout().map(Layout::Sparse),
            (None, None) => Err(Failure::usage(
                "which columns form the matrix? --row and --col where each input row is one entry \
                 (--value for its value), --vector where it is a row of the matrix",
            )),
        }
    }

    fn sparse_layout(&self) -> Outcome<SparseLayout> {
        let (Some(row), Some(col)) = (&self.row, &self.col) else {
            let missing = if self.row.is_none() { "--row" } else { "--col" };
            return Err(Failure::usage(format!(
                "{missing} is missing: sparse input needs --row and --col"
            )));
        };
        let ids = match (self.ids, self.shape) {
            (Some(IdKind::Dense), shape) => Ids::Dense {
                shape: shape.map(|shape| (shape.nrows, shape.ncols)),
            },
            (None | Some(IdKind::Keys), None) => Ids::Dictionary,
            (None | Some(IdKind::Keys), Some(_)) => {
                return Err(Failure::usage(
                    "--shape needs --ids dense: with other ids the matrix is as large as there \
                     are distinct ids",
                ));
            }
        };
        let transforms = self
            .transform
            .iter()
            .flat_map(|names| names.split(','))
            .map(|name| name.trim().parse::<Transform>())
            .collect::<Result<_, String>>()
            .map_err(|e| Failure::usage(format!("--transform: {e}")))?;
        Ok(SparseLayout {
            row: row.clone(),
            col: col.clone(),
            value: self.value.clone(),
            ids,
            duplicates: self.duplicates.unwrap_or_default(),
            transforms,
        })
    }

    fn dense_layout(&self) -> Outcome<DenseLayout> {
        if self.vector.is_empty() {
            return Err(Failure::usage(
                "--vector is missing: dense input needs the column that holds its vectors, or \
                 its numeric columns",
            ));
        }
        Ok(DenseLayout {
            id: self.id.clone(),
            vector: self.vector.clone(),
        })
    }

    fn sparse_flags(&self) -> [(&'static str, bool); 7] {
        [
            ("--row", self.row.is_some()),
            ("--col", self.col.is_some()),
            ("--value", self.value.is_some()),
            ("--ids", self.ids.is_some()),
            ("--shape", self.shape.is_some()),
            ("--duplicates", self.duplicates.is_some()),
            ("--transform", !self.transform.is_empty()),
        ]
    }

    fn dense_flags(&self) -> [(&'static str, bool); 2] {
        [
            ("--vector", !self.vector.is_empty()),
            ("--id", self.id.is_some()),
        ]
    }
}

fn first_given(flags: &[(&'static str, bool)]) -> Option<&'static str> {
    let given = flags.iter().find(|(_, given)| *given)?;
    Some(given.0)
}

#[cfg(test)]
#[path = "svd_spec_tests.rs"]
mod tests;
