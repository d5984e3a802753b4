use super::*;

const CANARY: &str = "canary-81c2f0";

fn refusal(text: &str) -> String {
    let error = StoreProfiles::parse(text).expect_err("refused");
    assert!(!error.message.contains(CANARY), "{error}");
    error.message
}

fn name_of(profiles: &StoreProfiles, url: &str) -> Option<String> {
    let place = Location::parse(url).expect("a place");
    let index = profiles.profile_of(&place).expect("served")?;
    Some(profiles.profiles[index].name.clone())
}

#[test]
fn the_longest_prefix_wins() {
    let profiles = StoreProfiles::parse(
        r#"
        allow-unlisted = true
        [stores.all]
        url = "s3://bucket"
        [stores.part]
        url = "s3://bucket/part/one/"
        [stores.other]
        url = "az://bucket/part"
        "#,
    )
    .expect("profiles");
    let part = name_of(&profiles, "s3://bucket/part/one/x.parquet");
    assert_eq!(part.as_deref(), Some("part"));
    let itself = name_of(&profiles, "s3://bucket/part/one");
    assert_eq!(itself.as_deref(), Some("part"));
    let neighbour = name_of(&profiles, "s3a://bucket/part/one-more");
    assert_eq!(neighbour.as_deref(), Some("all"));
    assert_eq!(name_of(&profiles, "gs://bucket/part/one"), None);
}

#[test]
fn a_place_without_a_profile_is_refused() {
    let profiles = StoreProfiles::parse("[stores.a]\nurl = 's3://bucket/a'").expect("profiles");
    let error = profiles.open("s3://bucket/b").expect_err("refused");
    assert!(error.message.contains("s3://bucket/a"), "{error}");
    assert!(error.message.contains("allow-unlisted"), "{error}");
    assert!(profiles.open("s3://bucket").is_err());
    assert!(profiles.open("s3://bucket/../bucket/a").is_err());
    assert!(profiles.open("memory://anything").is_ok());
    // The folder above the prefix is not served, but the object in it is.
    assert!(profiles.open_object("s3://bucket/a").is_ok());
    assert!(profiles.open_object("s3://bucket/b").is_err());
}

#[test]
fn mistakes_are_named_without_their_values() {
    let profile = |rest: &str| format!("[stores.x]\nurl = 's3://bucket'\n{rest}\n");
    let refused = |rest: &str| refusal(&profile(rest));
    let broken = refused(&format!("secret-access-key = {CANARY}"));
    assert!(broken.starts_with("line 3 is no TOML"), "{broken}");
    let number = refused("secret-access-key = 81");
    assert!(number.contains("stores.x.secret-access-key must be a text"));
    let table = refused(&format!(
        "secret-access-key = {{ environment = '{CANARY}' }}"
    ));
    assert!(table.contains("env ="), "{table}");
    let unknown = refused(&format!("account-key = '{CANARY}'"));
    assert!(
        unknown.contains("there are url, endpoint, region"),
        "{unknown}"
    );
    let half = refused(&format!("secret-access-key = '{CANARY}'"));
    assert!(half.contains("belong together"), "{half}");
    let twins = refusal("[stores.a]\nurl='s3://b/'\n[stores.b]\nurl='s3://b'");
    assert!(twins.contains("both for s3://b"), "{twins}");
    assert!(refusal("store = 1").contains("allow-unlisted"));
    assert!(refusal("[stores.a]\nurl = '/data'").contains("local files need none"));
    assert!(refusal("[stores.a]\nregion = 'x'").contains("needs a url"));
}

#[test]
fn an_endpoint_is_checked_before_anything_is_sent_there() {
    let open = |endpoint: &str| {
        let text = format!("[stores.x]\nurl = 's3://bucket'\nendpoint = '{endpoint}'");
        let profiles = StoreProfiles::parse(&text).expect("profiles");
        let error = profiles.open("s3://bucket/x").expect_err("refused");
        assert!(!error.message.contains(CANARY), "{error}");
        error.message
    };
    assert!(open("http://host:9000").contains("allow-http = true"));
    let password = open(&format!("https://me:{CANARY}@host"));
    assert!(password.contains("name or a password"));
    assert!(open(CANARY).contains("is no URL"));
    assert!(open("ftp://host").contains("https://"));
}

#[test]
fn keys_that_fit_in_no_request_are_refused_before_one_is_made() {
    let opened = |keys: &str| {
        let text = format!("[stores.x]\nurl = 's3://bucket'\n{keys}");
        StoreProfiles::parse(&text)
            .expect("profiles")
            .open("s3://bucket/x")
    };
    for (id, secret, token, named) in [
        ("a\\nb", "s", "t", "access-key-id"),
        ("a", "s\\nx", "t", "secret-access-key"),
        ("a", "s", "t\\u007f", "session-token"),
    ] {
        let keys = format!(
            "access-key-id = \"{id}{CANARY}\"\nsecret-access-key = \"{secret}{CANARY}\"\n\
             session-token = \"{token}{CANARY}\""
        );
        let error = opened(&keys).expect_err("refused");
        assert!(error.message.contains(named), "{error}");
        assert!(error.message.contains("control character"), "{error}");
        assert!(!error.message.contains(CANARY), "{error}");
    }
    let region = opened("region = 'eu central'").expect_err("refused");
    assert!(region.message.contains("region"), "{region}");
}

#[test]
fn secrets_may_lie_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    let text = format!(
        "[stores.x]\nurl = 's3://bucket'\naccess-key-id = 'id'\n\
         secret-access-key = {{ file = '{}' }}\n",
        path.display()
    );
    let profiles = StoreProfiles::parse(&text).expect("profiles");
    let missing = profiles.open("s3://bucket").expect_err("no such file");
    assert!(
        missing
            .message
            .contains("store profile x: secret-access-key")
    );
    std::fs::write(&path, "\n").expect("written");
    let empty = profiles.open("s3://bucket").expect_err("no value");
    assert!(empty.message.contains("holds no value"), "{empty}");
    std::fs::write(&path, format!("{CANARY}\n")).expect("written");
    let store = profiles.open("s3://bucket").expect("opened");
    assert!(!format!("{profiles:?} {store:?}").contains(CANARY));
    let unset = "[stores.x]\nurl = 's3://b'\nregion = { env = 'RANKMILL_NEVER_SET' }";
    let profiles = StoreProfiles::parse(unset).expect("profiles");
    let error = profiles.open("s3://b").expect_err("not set");
    assert!(
        error.message.contains("RANKMILL_NEVER_SET is not set"),
        "{error}"
    );
}
