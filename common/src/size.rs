//! Sizes in bytes, as people write them: `8GiB`, `512MB`, `1048576`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 9] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("b", 1),
];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.trim().to_ascii_lowercase();
        let (number, unit) = UNITS
            .iter()
            .find_map(|(name, unit)| lower.strip_suffix(name).map(|number| (number, *unit)))
            .unwrap_or((&lower, 1));
        let number: f64 = number.trim().parse().map_err(|_| {
            format!("{text:?} is not a size: write 8GiB, 512MiB or a number of bytes")
        })?;
        let bytes = number * unit as f64;
        if !(1.0..=u64::MAX as f64).contains(&bytes) {
            return Err(format!("{text:?} is not a positive size"));
        }
        Ok(Self(bytes as u64))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scaled = |unit: u64| self.0 as f64 / unit as f64;
        match self.0 {
            n if n >= 1 << 40 => write!(f, "{:.2} TiB", scaled(1 << 40)),
            n if n >= 1 << 30 => write!(f, "{:.2} GiB", scaled(1 << 30)),
            n if n >= 1 << 20 => write!(f, "{:.1} MiB", scaled(1 << 20)),
            n if n >= 1 << 10 => write!(f, "{:.1} KiB", scaled(1 << 10)),
            n => write!(f, "{n} B"),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(bytes) => Ok(Self(bytes)),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!("8GiB".parse(), Ok(ByteSize(8 << 30)));
        assert_eq!("1.5 kb".parse(), Ok(ByteSize(1500)));
        assert_eq!("4096".parse(), Ok(ByteSize(4096)));
        assert!("-1GiB".parse::<ByteSize>().is_err());
        assert!("lots".parse::<ByteSize>().is_err());
    }
}
