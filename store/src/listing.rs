//! Lists around keys that no client could read.
//!
//! Object stores hold keys that are no paths (`logs//y`), written by others. The client library
//! gives up the page such a key is on, so the page is asked for in smaller pieces until the key is
//! alone, and the listing goes on behind it: one stranger's object must not hide all others.
//!
//! Invariant: what is returned is everything but keys that were named in the log.

use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::{Error as PathError, Path};
use object_store::{Error, ObjectMeta, Result};

/// Keys on a page, unless a store has fewer.
const FULL_PAGE: usize = 1000;

/// Everything below the folder `path`, without the keys that are no paths.
///
/// Errs as the store does, and with the odd key where the store does not go on behind it.
pub(crate) async fn list_around(
    pages: &dyn PaginatedListStore,
    path: &Path,
) -> Result<Vec<ObjectMeta>> {
    let prefix = (!path.as_ref().is_empty()).then(|| format!("{path}/"));
    let mut found = Vec::new();
    let mut place = Place::After(String::new());
    let mut passed = String::new();
    let mut most = FULL_PAGE;
    loop {
        let page = pages.list_paginated(prefix.as_deref(), place.options(most));
        match page.await {
            Ok(page) => {
                found.extend(page.result.objects);
                match page.page_token.filter(|token| !token.is_empty()) {
                    Some(token) => place = Place::Page(token),
                    None => return Ok(found),
                }
                most = (most * 2).min(FULL_PAGE);
            }
            Err(error) => match odd_key(&error) {
                None => return Err(error),
                Some(_) if most > 1 => most /= 2,
                // Behind a store that cannot go on from a key there would be no end.
                Some(key) if key <= passed.as_str() => return Err(error),
                Some(key) => {
                    tracing::warn!(key, "passed over: no key that rankmill could read");
                    key.clone_into(&mut passed);
                    place = Place::After(passed.clone());
                }
            },
        }
    }
}

/// Where a page starts.
enum Place {
    /// Behind this key; at the start behind the empty one.
    After(String),
    /// Where the page before ended.
    Page(String),
}

impl Place {
    fn options(&self, most: usize) -> PaginatedListOptions {
        let (offset, page_token) = match self {
            Self::After(key) => ((!key.is_empty()).then(|| key.clone()), None),
            Self::Page(token) => (None, Some(token.clone())),
        };
        PaginatedListOptions {
            offset,
            page_token,
            max_keys: Some(most),
            ..PaginatedListOptions::default()
        }
    }
}

/// The key that made a listing fail.
pub(crate) fn odd_key(error: &Error) -> Option<&str> {
    let Error::InvalidPath { source } = error else {
        return None;
    };
    match source {
        PathError::EmptySegment { path }
        | PathError::BadSegment { path, .. }
        | PathError::NonUnicode { path, .. } => Some(path),
        _ => None,
    }
}
