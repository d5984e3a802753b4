//! What buckets and keys may be called.
//!
//! The clients put a bucket's name into URLs as it is: a character that means something there
//! sends requests elsewhere, and one that cannot stand there ends the process. Keys they escape
//! themselves, so that nearly all go through as they are; the rest is refused here.

use crate::location::Scheme;

/// Why no bucket or container of a remote store can have this name; the character that is wrong
/// is named. Laxer than the stores, whose oldest buckets break their own rules of today.
pub(crate) fn wrong_with_bucket(scheme: Scheme, name: &str) -> Option<String> {
    match scheme {
        // Their names go nowhere.
        Scheme::File | Scheme::Memory => return None,
        Scheme::Azure if name.contains('@') => {
            return Some(
                "an az URL names the container alone: the account comes from the store profile \
                 or AZURE_STORAGE_ACCOUNT_NAME"
                    .to_owned(),
            );
        }
        Scheme::S3 | Scheme::Gcs | Scheme::Azure => {}
    }
    // `$web` and its like are made by the service.
    let rest = match scheme {
        Scheme::Azure => name.strip_prefix('$').unwrap_or(name),
        Scheme::File | Scheme::Memory | Scheme::S3 | Scheme::Gcs => name,
    };
    if rest.bytes().all(|byte| byte == b'.') {
        return Some("it holds dots alone".to_owned());
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let wrong = rest.chars().find(|&c| !legal(c))?;
    Some(format!("it holds {}", describe(wrong)))
}

/// Why no key of a remote store can be this text.
pub(crate) fn wrong_with_key(key: &str) -> Option<String> {
    if let Some(wrong) = key.chars().find(char::is_ascii_control) {
        return Some(format!(
            "holds {}, which cannot be sent to a store",
            describe(wrong)
        ));
    }
    if key.is_empty() {
        return None;
    }
    key.split('/').find_map(|part| match part {
        "." | ".." => Some("must not hold . or .. as a folder".to_owned()),
        "" => Some("holds a folder without a name (two slashes in a row)".to_owned()),
        _ => None,
    })
}

/// A character for a message; one that does not show by its number.
pub(crate) fn describe(c: char) -> String {
    match c {
        ' ' => "a blank".to_owned(),
        c if c.is_control() => format!("the control character U+{:04X}", u32::from(c)),
        c => format!("the character {c}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_that_exist_somewhere_are_let_through() {
        for name in [
            "bucket",
            "Old_Bucket.of.2008",
            "123",
            "a-b.example.com",
            "name--use1-az4--x-s3",
            "_x",
        ] {
            for scheme in [Scheme::S3, Scheme::Gcs, Scheme::Azure] {
                assert_eq!(wrong_with_bucket(scheme, name), None, "{name}");
            }
        }
        assert_eq!(wrong_with_bucket(Scheme::Azure, "$web"), None);
        assert_eq!(wrong_with_bucket(Scheme::Memory, "never led"), None);
    }

    #[test]
    fn characters_that_break_a_url_are_named() {
        let s3 = |name| wrong_with_bucket(Scheme::S3, name).expect("refused");
        assert_eq!(s3("b k"), "it holds a blank");
        assert_eq!(s3("b?x"), "it holds the character ?");
        assert_eq!(s3("b\nk"), "it holds the control character U+000A");
        assert_eq!(s3("bücket"), "it holds the character ü");
        for name in [
            "b#x", "b<k", "b>k", "b%20k", "b@c", "b:1", "b\\k", "b\u{7f}", "..", ".", "$web",
        ] {
            s3(name);
        }
        let azure = wrong_with_bucket(Scheme::Azure, "data@me.dfs.core.windows.net");
        assert!(azure.expect("refused").contains("the container alone"));
    }

    #[test]
    fn keys_that_no_store_would_take_are_refused() {
        for key in ["", "a", "a b/ü#?%.parquet", "a/...", "\u{a0}"] {
            assert_eq!(wrong_with_key(key), None, "{key:?}");
        }
        for key in ["a\nb", "\u{7f}", "a//b", "/a", "a/", "a/./b", ".."] {
            assert!(wrong_with_key(key).is_some(), "{key:?}");
        }
    }
}
