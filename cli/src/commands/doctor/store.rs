//! `rankmill doctor store`: each thing that rankmill asks of a store, tried once on its own.
//!
//! Everything happens below a fresh prefix, which is removed at the end. A wrong answer (a lie) is
//! told apart from no answer: the first needs another store, the second patience or a setting.

use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use rankmill_common::{Error, ErrorKind, Result};
use rankmill_store::{Location, Store};
use serde_json::json;

use super::race;
use crate::commands::block_on;
use crate::exit::{Failure, Format, Outcome};
use crate::place;
use crate::progress::seconds;
use crate::text::print;

const MANUAL: &str = "\
Exit codes: 0 all promises hold; 3 the store lies, or refuses (credentials, bucket);
7 it cannot be reached or did not answer.";

/// Objects that the listing has to find: more than one page of any store is too slow to try.
const LISTED: usize = 60;
/// Overwrites that are read back at once.
const OVERWRITES: usize = 10;
/// Bytes of the large upload: three parts, the last one short.
const LARGE: usize = (16 << 20) + 4_321;

#[derive(clap::Args)]
#[command(after_help = MANUAL)]
pub(crate) struct StoreArgs {
    /// Directory or URL prefix; a fresh folder below it is used and removed
    #[arg(value_name = "URL_OR_DIR")]
    place: String,
    /// Writers that race to create one object
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(2..=256))]
    writers: u16,
    /// Objects that they race for
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// JSON on stdout
    #[arg(long)]
    pub(super) json: bool,
}

/// Something that does not hold.
pub(super) enum Finding {
    /// The store gave a wrong answer.
    Lie(String),
    /// The store gave none.
    Failed(Error),
}

/// What one check found; nothing is good.
#[derive(Default)]
pub(super) struct Findings(Vec<Finding>);

/// One thing that was tried.
struct Check {
    name: &'static str,
    /// What it shows, where it holds.
    shows: String,
    findings: Findings,
    seconds: f64,
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    pub(super) fn lie(&mut self, text: &str) {
        self.push(Finding::Lie(text.to_owned()));
    }

    fn unless(&mut self, holds: bool, text: &str) {
        if !holds {
            self.lie(text);
        }
    }
}

impl StoreArgs {
    pub(crate) fn execute(self) -> Outcome {
        let format = Format::json_if(self.json);
        block_on(async {
            let folder = format!("rankmill-doctor-{}", uuid::Uuid::new_v4().simple());
            let place = place::parse(&self.place)?;
            let store = Store::open(&place.join(&folder).url())?;
            let mut examination = Examination {
                store,
                checks: Vec::new(),
            };
            examination.run(&self).await;
            examination.clean_up().await;
            let checks = &examination.checks;
            let printed = print(&match format {
                Format::Json => format!("{:#}\n", object(&place, checks)),
                Format::Text => text(&place, checks),
            });
            verdict(&place, checks)?;
            Ok(printed?)
        })
    }
}

struct Examination {
    store: Store,
    checks: Vec<Check>,
}

impl Examination {
    async fn run(&mut self, args: &StoreArgs) {
        let store = self.store.clone();
        let first = round_trip(&store);
        self.check("write and read", "what is written is read", first)
            .await;
        if !self.holds() {
            // Whoever cannot write cannot do the rest either, and each try takes its time.
            return;
        }
        let overwrites = overwrites(&store);
        self.check("overwrite", "a read after a write sees it", overwrites)
            .await;
        let ranges = ranges(&store);
        self.check("ranges", "parts of an object come exactly", ranges)
            .await;
        let listing = listing(&store);
        self.check("list", "a listing names every object", listing)
            .await;
        let delete = delete(&store);
        self.check("delete", "what is deleted is gone", delete)
            .await;
        let large = large_upload(&store);
        self.check("large upload", "an upload in parts comes back whole", large)
            .await;
        let twins = race::refuses_twins(&store);
        self.check("create", "what exists is not created again", twins)
            .await;
        let (writers, rounds) = (usize::from(args.writers), usize::from(args.rounds));
        let racing = async { Ok(race::run(&store, writers, rounds).await) };
        self.check("create race", &race::describe(writers, rounds), racing)
            .await;
    }

    async fn check(
        &mut self,
        name: &'static str,
        shows: &str,
        work: impl Future<Output = Result<Findings>>,
    ) {
        let start = Instant::now();
        let findings = work
            .await
            .unwrap_or_else(|error| Findings(vec![Finding::Failed(error)]));
        self.checks.push(Check {
            name,
            shows: shows.to_owned(),
            findings,
            seconds: start.elapsed().as_secs_f64(),
        });
    }

    fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.findings.0.is_empty())
    }

    async fn clean_up(&mut self) {
        if !self.checks.iter().any(|check| check.findings.0.is_empty()) {
            // Nothing could be written, so nothing is there but the folder of a local store.
            let _ = remove_folder(&self.store);
            return;
        }
        let store = self.store.clone();
        let cleaning = clean_up(&store);
        self.check("clean up", "nothing is left behind", cleaning)
            .await;
    }
}

async fn round_trip(store: &Store) -> Result<Findings> {
    let bytes = Bytes::from_static(b"one two three");
    store.put("one", bytes.clone()).await?;
    let mut findings = Findings::default();
    findings.unless(store.get("one").await? == bytes, "what was read differs");
    let entry = store.head("one").await?;
    let size = entry.size == bytes.len() as u64;
    findings.unless(size, "the size that the store reports is wrong");
    let missing = store.get("nothing").await.map_err(|e| e.kind);
    findings.unless(
        missing == Err(ErrorKind::NotFound),
        "an object that was never written is not reported as missing",
    );
    Ok(findings)
}

async fn overwrites(store: &Store) -> Result<Findings> {
    let (mut stale, mut unmarked) = (0, 0);
    let mut before = String::new();
    for index in 0..OVERWRITES {
        let bytes = Bytes::from("x".repeat(index + 1));
        store.put("changing", bytes.clone()).await?;
        stale += usize::from(store.get("changing").await? != bytes);
        let version = store.head("changing").await?.version;
        unmarked += usize::from(version == before);
        before = version;
    }
    let mut findings = Findings::default();
    findings.unless(
        stale == 0,
        &format!("{stale} of {OVERWRITES} reads right after a write saw an older content"),
    );
    findings.unless(
        unmarked == 0,
        "an object changed without a change of its version: a changed input would go unnoticed",
    );
    Ok(findings)
}

async fn ranges(store: &Store) -> Result<Findings> {
    let bytes: Bytes = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    store.put("ranges", bytes.clone()).await?;
    let wanted = [0..1, 7..4_099, 200_000..200_004, 399_999..400_000];
    let parts = store.get_ranges("ranges", &wanted).await?;
    let exact = wanted
        .iter()
        .zip(parts)
        .all(|(range, part)| part == bytes[range.start as usize..range.end as usize]);
    let mut findings = Findings::default();
    findings.unless(exact, "a range came back with other bytes");
    Ok(findings)
}

async fn listing(store: &Store) -> Result<Findings> {
    for index in 0..LISTED {
        let key = format!("list/{index:03}/object");
        store.put(&key, Bytes::from_static(b"x")).await?;
    }
    let found = store.list("list").await?.len();
    let mut findings = Findings::default();
    findings.unless(
        found == LISTED,
        &format!(
            "{found} of {LISTED} objects are listed: inputs given as folders would be read in part"
        ),
    );
    Ok(findings)
}

async fn delete(store: &Store) -> Result<Findings> {
    store.put("doomed", Bytes::from_static(b"x")).await?;
    store.delete("doomed").await?;
    store.delete("doomed").await?;
    let missing = store.get("doomed").await.map_err(|e| e.kind);
    let mut findings = Findings::default();
    let gone = missing == Err(ErrorKind::NotFound);
    findings.unless(gone, "a deleted object can still be read");
    Ok(findings)
}

async fn large_upload(store: &Store) -> Result<Findings> {
    let bytes: Vec<u8> = (0..LARGE).map(|i| (i % 251) as u8).collect();
    let file = TemporaryFile::write(&bytes)?;
    store.upload_file("large", &file.path).await?;
    let mut findings = Findings::default();
    let same = store.get("large").await? == bytes;
    findings.unless(same, "a large object came back changed");
    Ok(findings)
}

async fn clean_up(store: &Store) -> Result<Findings> {
    for entry in store.list("").await? {
        store.delete(&entry.key).await?;
    }
    let left = store.list("").await?.len();
    let mut findings = Findings::default();
    let place = store.location().url();
    findings.unless(
        left == 0,
        &format!("{left} objects are still listed below {place} after they were deleted"),
    );
    remove_folder(store)?;
    Ok(findings)
}

/// A local directory keeps empty folders.
fn remove_folder(store: &Store) -> Result<()> {
    let Some(path) = store.local_path("") else {
        return Ok(());
    };
    std::fs::remove_dir_all(&path)
        .map_err(|e| Error::new(ErrorKind::Unavailable, format!("{}: {e}", path.display())))
}

/// A file for the upload, removed with this value.
struct TemporaryFile {
    path: PathBuf,
}

impl TemporaryFile {
    fn write(bytes: &[u8]) -> Result<Self> {
        let name = format!("rankmill-doctor-{}", uuid::Uuid::new_v4().simple());
        let file = Self {
            path: std::env::temp_dir().join(name),
        };
        std::fs::write(&file.path, bytes)
            .map_err(|e| Error::invalid_input(format!("{}: {e}", file.path.display())))?;
        Ok(file)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // It is in the system's place for files that may be lost.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn verdict(place: &Location, checks: &[Check]) -> Outcome {
    let findings = || checks.iter().flat_map(|check| &check.findings.0);
    let lies = findings().filter(|finding| matches!(finding, Finding::Lie(_)));
    let count = lies.count();
    if count > 0 {
        return Err(Failure::Failed(Error::invalid_input(format!(
            "{} does not keep what rankmill needs: do not use it for --state, and read above what \
             that means for inputs and outputs",
            place.url()
        ))));
    }
    let first = findings().find_map(|finding| match finding {
        Finding::Lie(_) => None,
        Finding::Failed(error) => Some(error.clone()),
    });
    match first {
        None => Ok(()),
        Some(error) if error.kind == ErrorKind::NotFound => {
            // An object of our own is gone: nothing that anybody named is missing.
            Err(Error::new(ErrorKind::Unavailable, error.message).into())
        }
        Some(error) => Err(error.into()),
    }
}

fn text(place: &Location, checks: &[Check]) -> String {
    let mut text = format!("store     {}\n", place.url());
    for check in checks {
        if check.findings.0.is_empty() {
            let took = seconds(check.seconds);
            text += &format!("ok        {}: {} ({took})\n", check.name, check.shows);
        }
        for finding in &check.findings.0 {
            text += &match finding {
                Finding::Lie(what) => format!("LIES      {}: {what}\n", check.name),
                Finding::Failed(error) => format!("FAILED    {}: {error}\n", check.name),
            };
        }
    }
    text
}

fn object(place: &Location, checks: &[Check]) -> serde_json::Value {
    let checks: Vec<_> = checks
        .iter()
        .map(|check| {
            let findings: Vec<_> = check
                .findings
                .0
                .iter()
                .map(|finding| match finding {
                    Finding::Lie(what) => json!({ "kind": "lie", "message": what }),
                    Finding::Failed(error) => {
                        json!({ "kind": error.kind.as_str(), "message": error.message })
                    }
                })
                .collect();
            json!({
                "check": check.name,
                "ok": findings.is_empty(),
                "findings": findings,
                "seconds": check.seconds,
            })
        })
        .collect();
    let ok = checks.iter().all(|check| check["ok"] == true);
    json!({ "store": place.url(), "ok": ok, "checks": checks })
}
