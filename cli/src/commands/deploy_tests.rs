//! The files below `deploy/config` are read by the code that reads them in earnest.

use std::path::{Path, PathBuf};

use rankmill_common::job::JobSpec;
use rankmill_coordinator::CoordinatorConfig;
use rankmill_store::StoreProfiles;

use super::coordinator::read_config;
use crate::job::JobFile;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/config")
        .join(name)
}

#[test]
fn the_coordinator_s_settings_are_its_defaults_and_none_is_missing() {
    let path = file("coordinator.toml");
    let config = read_config(&path).unwrap_or_else(|_| panic!("{} is refused", path.display()));
    let defaults = CoordinatorConfig::default();
    assert_eq!(config, defaults);
    let keys = |text: &str| -> Vec<String> {
        let table: toml::Table = toml::from_str(text).expect("TOML");
        table.keys().cloned().collect()
    };
    let written = std::fs::read_to_string(&path).expect("it was read before");
    let all = toml::to_string(&defaults).expect("plain numbers");
    assert_eq!(keys(&written), keys(&all));
}

#[test]
fn the_store_profiles_are_understood() {
    let profiles = StoreProfiles::read(&file("stores.toml")).expect("understood");
    // The allow-list holds before any secret is looked for.
    let error = profiles.open("s3://elsewhere/x").expect_err("not listed");
    assert!(error.message.contains("no store profile"), "{error}");
}

#[test]
fn the_nightly_job_is_a_job() {
    let Ok(job) = JobFile::read(&file("nightly.toml")) else {
        panic!("nightly.toml is refused");
    };
    let Ok(JobSpec::Svd(spec)) = job.job.into_spec() else {
        panic!("nightly.toml is no job");
    };
    assert!(spec.output.url.starts_with("s3://"));
}
