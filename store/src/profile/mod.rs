//! Store profiles: which places this process may use, and with which credentials.
//!
//! A job's specification travels, is logged and is copied into manifests; it names places by URL
//! and nothing else. What opens them stays in a file of each process, found by the URL's prefix.
//! The table is one per process because `Store::open` is called with URLs that arrive in jobs, far
//! from whoever read the command line: a table handed down by hand would be forgotten somewhere,
//! and the place that forgot it would be the one without the allow-list.
//!
//! Invariant: a secret is kept in a type that does not print, and no error here repeats a value.

mod access;
mod file;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use rankmill_common::{Error, Result};

use crate::Store;
use crate::location::{Location, Scheme};
use crate::open;

pub(crate) use access::{Access, Field};

/// The table of this process; the environment's, unless one was installed first.
static INSTALLED: OnceLock<StoreProfiles> = OnceLock::new();

/// The places that a process may use.
pub struct StoreProfiles {
    profiles: Vec<Profile>,
    unlisted: Unlisted,
    /// Clients keep connections open: one for each bucket and profile.
    clients: Mutex<BTreeMap<ClientId, open::Client>>,
}

/// A bucket and the profile that opens it, if any.
type ClientId = (Scheme, String, Option<usize>);

/// One `[stores.NAME]` of the file.
struct Profile {
    name: String,
    place: Location,
    access: access::Settings,
}

/// What is done about a remote URL that no profile serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unlisted {
    /// It is refused.
    Refuse,
    /// It is opened with the credentials of the environment.
    Environment,
}

impl StoreProfiles {
    /// No profile: every place with the credentials of the environment.
    pub fn environment() -> Self {
        Self::new(Vec::new(), Unlisted::Environment)
    }

    /// Reads a file of profiles.
    ///
    /// # Errors
    ///
    /// `InvalidInput` naming the file and the key; never a value.
    pub fn read(path: &Path) -> Result<Self> {
        let named =
            |e: &dyn std::fmt::Display| Error::invalid_input(format!("{}: {e}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| named(&e))?;
        Self::parse(&text).map_err(|e| named(&e))
    }

    /// Reads profiles from TOML.
    ///
    /// # Errors
    ///
    /// `InvalidInput` naming the key; never a value.
    pub fn parse(text: &str) -> Result<Self> {
        let (profiles, unlisted) = file::parse(text)?;
        Ok(Self::new(profiles, unlisted))
    }

    /// Makes this the table of the process, for every `Store::open` that follows.
    ///
    /// # Errors
    ///
    /// `Internal` where a table is in use already.
    pub fn install(self) -> Result<()> {
        INSTALLED
            .set(self)
            .map_err(|_| Error::internal("store profiles were installed after their first use"))
    }

    pub(crate) fn installed() -> &'static Self {
        INSTALLED.get_or_init(Self::environment)
    }

    /// As [`Store::open`], by this table.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub fn open(&self, url: &str) -> Result<Store> {
        let location = Location::parse(url)?;
        let client = self.client(&location, &location)?;
        Ok(store(client, location))
    }

    /// As [`Store::open_object`], by this table.
    pub(crate) fn open_object(&self, url: &str) -> Result<(Store, String)> {
        let place = Location::parse(url)?;
        let (location, key) = place.split_last();
        let client = self.client(&place, &location)?;
        Ok((store(client, location), key))
    }

    /// A client rooted at `root`, if `place` may be used.
    fn client(&self, place: &Location, root: &Location) -> Result<open::Client> {
        if matches!(place.scheme(), Scheme::File | Scheme::Memory) {
            return open::client(root, &Access::default());
        }
        let profile = self.profile_of(place)?;
        let key = (root.scheme(), root.bucket().to_owned(), profile);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let access = match profile {
            Some(index) => self.profiles[index].resolve()?,
            None => Access::default(),
        };
        let client = open::client(root, &access)?;
        clients.insert(key, client.clone());
        Ok(client)
    }

    /// The profile with the longest prefix that serves `place`.
    fn profile_of(&self, place: &Location) -> Result<Option<usize>> {
        let serving = self.profiles.iter().enumerate();
        let nearest = serving
            .filter_map(|(index, profile)| Some((profile.place.depth_of(place)?, index)))
            .min();
        match (nearest, self.unlisted) {
            (Some((_, index)), _) => Ok(Some(index)),
            (None, Unlisted::Environment) => Ok(None),
            (None, Unlisted::Refuse) => Err(Error::invalid_input(format!(
                "{}: no store profile serves this place; the profiles of this process are for {}. \
                 Add one to the file that --stores names, or set allow-unlisted = true there",
                place.url(),
                self.places()
            ))),
        }
    }

    fn places(&self) -> String {
        let urls = self.profiles.iter().map(|profile| profile.place.url());
        match urls.collect::<Vec<_>>() {
            urls if urls.is_empty() => "no place at all".to_owned(),
            urls => urls.join(", "),
        }
    }

    fn new(profiles: Vec<Profile>, unlisted: Unlisted) -> Self {
        Self {
            profiles,
            unlisted,
            clients: Mutex::default(),
        }
    }
}

fn store(client: open::Client, location: Location) -> Store {
    Store {
        inner: client.store,
        pages: client.pages,
        location,
    }
}

impl Profile {
    /// Reads what the profile refers to. Done at first use: a process need not have the secrets
    /// of stores that it never opens.
    fn resolve(&self) -> Result<Access> {
        self.access
            .resolve()
            .map_err(|e| e.context(format!("store profile {}", self.name)))
    }
}

impl std::fmt::Debug for StoreProfiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.profiles.iter().map(|profile| &profile.name).collect();
        f.debug_struct("StoreProfiles")
            .field("profiles", &names)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
