//! The user's Parquet inputs: finding them, pinning them, reading some rows of some columns.
//!
//! Every error names the file, and the row group, row and column where they are known. Inputs
//! are never mapped into memory and never trusted: sizes are checked before memory is reserved
//! for them, and a panic of the decoder is an error of the file.

mod chunks;
mod expand;
mod footer;
mod glob;
mod page_header;
mod piece;
mod source;
mod values;

pub(crate) use expand::expand;
pub(crate) use footer::{Column, Footer, type_name};
pub(crate) use piece::PieceReader;
pub(crate) use source::InputFile;
pub(crate) use values::{Defect, append_f32, is_numeric, nulls};

use std::io;

use rankmill_common::{Error, ErrorKind};

/// An error of a local input file.
fn io_error(place: &str, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => missing(place),
        io::ErrorKind::PermissionDenied => {
            Error::invalid_input(format!("{place}: permission denied"))
        }
        _ => Error::new(ErrorKind::Unavailable, format!("{place}: {error}")),
    }
}

/// A store's error about an input: what is missing is the user's to mend.
fn store_error(place: &str, error: Error) -> Error {
    if error.kind == ErrorKind::NotFound {
        missing(place)
    } else {
        error
    }
}

fn missing(place: &str) -> Error {
    Error::invalid_input(format!(
        "{place} does not exist: check the path, or whether the file was moved or deleted"
    ))
}
