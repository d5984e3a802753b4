//! The state directory of embedded runs: where it is, and who may use it now.
//!
//! Blocks are shared between jobs, so there is one directory for all of them; an advisory lock
//! lets one embedded coordinator at a time use it. The state of a cluster is its coordinator's.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rankmill_common::{Error, ErrorKind, Result};
use rankmill_coordinator::living_leader;
use rankmill_store::{Location, Store};

use crate::place;
use crate::text::tell;

const LOCK_NAME: &str = "embedded.lock";
const LOCK_POLL: Duration = Duration::from_millis(200);

/// An opened state store; a local one is locked while this value lives.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Store,
    _lock: Option<File>,
}

/// Opens `wanted`, else what `RANKMILL_STATE` names, else the user's cache directory. Waits while
/// another embedded run uses it.
///
/// # Errors
///
/// `InvalidInput` for the state of a coordinator that lives.
pub(crate) async fn open(wanted: Option<&str>) -> Result<State> {
    let place = choose(wanted, |name| {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    })?;
    let store = Store::open(&place)?;
    let lock = match store.local_path("") {
        Some(directory) => Some(lock(&directory).await?),
        None => None,
    };
    refuse_led(&store).await?;
    Ok(State { store, _lock: lock })
}

/// A run here would take the lead from the coordinator.
async fn refuse_led(store: &Store) -> Result<()> {
    let place = store.location().display("");
    let leader = living_leader(store, |leader| {
        tell(format_args!(
            "looking whether the coordinator {leader} still leads the state {place}"
        ));
    });
    match leader.await? {
        None => Ok(()),
        Some(leader) => Err(Error::invalid_input(format!(
            "the coordinator {leader} leads the state {place}: go through it with --coordinator \
             URL, or choose another --state"
        ))),
    }
}

/// As [`open`], of a directory that is there already.
pub(crate) async fn open_existing(wanted: Option<&str>) -> Result<State> {
    let place = choose(wanted, |name| {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    })?;
    let location = Location::parse(&place)?;
    if let Some(directory) = location.local_path("")
        && !["cluster", "jobs"]
            .iter()
            .any(|part| directory.join(part).is_dir())
    {
        return Err(Error::invalid_input(format!(
            "{} holds no state of rankmill",
            directory.display()
        )));
    }
    open(Some(&place)).await
}

fn choose(wanted: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Result<String> {
    if let Some(place) = wanted
        .map(str::to_owned)
        .or_else(|| variable("RANKMILL_STATE"))
    {
        return Ok(place::parse(&place)?.url());
    }
    let cache = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache")));
    let cache = cache.ok_or_else(|| {
        Error::invalid_input("no place for the state: set --state or RANKMILL_STATE")
    })?;
    let place = cache.join("rankmill");
    let place = place.to_str().ok_or_else(|| {
        Error::invalid_input(format!("{} is not UTF-8: set --state", place.display()))
    })?;
    Ok(Location::parse(place)?.url())
}

async fn lock(directory: &Path) -> Result<File> {
    let path = directory.join(LOCK_NAME);
    let file = File::create(&path).map_err(|e| {
        Error::invalid_input(format!(
            "cannot write {}: {e} (--state names another place)",
            path.display()
        ))
    })?;
    let failed = |e: &std::io::Error| {
        Error::new(
            ErrorKind::Unavailable,
            format!("cannot lock {}: {e}", path.display()),
        )
    };
    let mut announced = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(e)) => return Err(failed(&e)),
            Err(TryLockError::WouldBlock) => {}
        }
        if !announced {
            tell(format_args!(
                "waiting: another rankmill uses the state directory {} (--state names another)",
                directory.display()
            ));
            announced = true;
        }
        tokio::time::sleep(LOCK_POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_setting_names_the_directory() {
        let variable = |name: &str| match name {
            "RANKMILL_STATE" => Some("/env".to_owned()),
            "HOME" => Some("/home/me".to_owned()),
            _ => None,
        };
        assert_eq!(
            choose(Some("/flag"), variable),
            Ok("file:///flag".to_owned())
        );
        assert_eq!(choose(None, variable), Ok("file:///env".to_owned()));
        let home_only = |name: &str| variable(name).filter(|_| name == "HOME");
        assert_eq!(
            choose(None, home_only),
            Ok("file:///home/me/.cache/rankmill".to_owned())
        );
        assert!(choose(None, |_| None).is_err());
    }

    #[tokio::test]
    async fn a_directory_without_a_state_is_left_as_it_is() {
        let directory = tempfile::tempdir().expect("a directory");
        for place in [
            directory.path().to_owned(),
            directory.path().join("nowhere"),
        ] {
            let place = place.to_str().expect("UTF-8");
            let error = open_existing(Some(place)).await.expect_err("no state");
            assert!(error.message.contains("no state"), "{error}");
        }
        let mut left = std::fs::read_dir(directory.path()).expect("a directory");
        assert!(left.next().is_none());
        std::fs::create_dir(directory.path().join("jobs")).expect("made");
        assert!(open_existing(directory.path().to_str()).await.is_ok());
    }

    #[tokio::test]
    async fn a_second_run_waits_for_the_first() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = lock(directory.path()).await.expect("free");
        let second = tokio::time::timeout(Duration::from_millis(50), lock(directory.path()));
        assert!(second.await.is_err());
        drop(first);
        assert!(lock(directory.path()).await.is_ok());
    }
}
