//! Parses sizes and durations with units.

use bytesize::ByteSize;
use jiff::SignedDuration;
use serde::{Deserialize, Deserializer};

/// A size: plain bytes, or a number with a unit.
///
/// # Errors
/// What is wrong, with examples.
pub fn size(text: &str) -> Result<ByteSize, String> {
    let refused =
        || format!("'{text}' is not a size: give a number and a unit, such as 64MiB, 1.5GiB or 500MB");
    text.parse().map_err(|_| refused())
}

/// A duration in seconds: plain seconds, or numbers with units.
///
/// # Errors
/// What is wrong, with examples.
pub fn seconds(text: &str) -> Result<f64, String> {
    let plain = text.parse::<f64>().ok();
    let seconds = plain.or_else(|| Some(text.parse::<SignedDuration>().ok()?.as_secs_f64()));
    seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0).ok_or_else(|| {
        format!("'{text}' is not a duration: give seconds, or units, such as 90, 90s, 5m, 1h30m or 250ms")
    })
}

/// Reads a list of sizes: strings, or numbers of bytes.
pub fn sizes<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<ByteSize>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a size must be a number of bytes, or a string such as \"64MiB\"")]
    enum Written {
        Bytes(u64),
        Text(String),
    }
    let sizes = Vec::<Written>::deserialize(from)?.into_iter().map(|written| match written {
        Written::Bytes(bytes) => Ok(ByteSize(bytes)),
        Written::Text(text) => size(&text).map_err(serde::de::Error::custom),
    });
    sizes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_may_have_units() {
        assert_eq!(size("64MiB"), Ok(ByteSize::mib(64)));
        assert_eq!(size("4096"), Ok(ByteSize(4096)));
        let durations = ["90", "1.5", "90s", "1h30m", "250ms", "2 min"].map(|text| seconds(text).unwrap());
        assert_eq!(durations, [90.0, 1.5, 90.0, 5400.0, 0.25, 120.0]);
    }

    #[test]
    fn invalid_values_are_refused_with_examples() {
        insta::assert_snapshot!(
            size("foo").unwrap_err(),
            @"'foo' is not a size: give a number and a unit, such as 64MiB, 1.5GiB or 500MB"
        );
        for text in ["soon", "-5s", "-1", "nan", "inf", "5 parsecs", ""] {
            let refusal = seconds(text).unwrap_err();
            assert!(refusal.starts_with(&format!("'{text}' is not a duration: give seconds, ")), "{refusal}");
        }
    }
}
