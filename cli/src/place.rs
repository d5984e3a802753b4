//! Places as people type them.

use std::path::Path;

use rankmill_common::{Error, Result};
use rankmill_store::Location;

/// Reads a URL or a local path, as [`Location::parse`] does.
///
/// # Errors
///
/// `InvalidInput`; for a relative path that only the name of the current directory spoils, it says
/// so.
pub(crate) fn parse(text: &str) -> Result<Location> {
    let here = std::env::current_dir();
    Location::parse(text).map_err(|error| match here {
        Ok(here) => blame(text, &here, error),
        Err(_) => error,
    })
}

fn blame(text: &str, here: &Path, error: Error) -> Error {
    if here.to_str().is_some() || text.contains("://") || Path::new(text).is_absolute() {
        return error;
    }
    Error::invalid_input(format!(
        "{text} counts from the current directory {}, whose name is not UTF-8: name an absolute \
         path, or start elsewhere",
        here.display()
    ))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_directory_that_spoils_a_path_is_named() {
        let error = || Error::invalid_input("what was wrong");
        let odd = Path::new(OsStr::from_bytes(b"/data/\xff"));
        let blamed = blame("in.parquet", odd, error());
        assert!(
            blamed.message.contains("current directory /data/"),
            "{blamed}"
        );
        for (text, here) in [
            ("in.parquet", Path::new("/data")),
            ("/in.parquet", odd),
            ("ftp://x", odd),
        ] {
            assert_eq!(blame(text, here, error()), error(), "{text}");
        }
    }
}
