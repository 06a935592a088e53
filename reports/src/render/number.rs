//! Formats numbers for people. A value that was not measured is a dash, never a zero.

use crate::compare::Spread;

/// The placeholder for a value that was not measured.
pub const MISSING: &str = "–";

const SECONDS_PER_HOUR: f64 = 3600.0;
const SECONDS_PER_DAY: f64 = 24.0 * SECONDS_PER_HOUR;
const SECONDS_PER_YEAR: f64 = 365.25 * SECONDS_PER_DAY;

/// A size in bytes: `512 B`, `300 MiB`, `1.95 GiB`.
pub fn bytes(bytes: f64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes.abs() < 1000.0 {
        return format!("{} B", count(bytes));
    }
    // The next unit starts at 1000, not at 1024, so that three digits are enough: 0.977 GiB, not 1000 MiB.
    let mut value = bytes / 1024.0;
    let mut unit = 0;
    while value.abs() >= 999.5 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{} {}", three_digits(value), units[unit])
}

/// A size that a user chose: in powers of 1000 where that gives a round number, as `17.0 GB`, else as with [`bytes`].
pub fn chosen_bytes(bytes: f64) -> String {
    let is_round = |unit: f64| bytes >= unit && bytes % unit == 0.0;
    if !is_round(1e6) || is_round((1 << 20) as f64) {
        return self::bytes(bytes);
    }
    if bytes < 1e9 { format!("{:.0} MB", bytes / 1e6) } else { format!("{} GB", three_digits(bytes / 1e9)) }
}

/// A span of time that is planned or estimated: `35 s`, `4 min 10 s`, `16 h 48 min`, `2 days 3 h`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds > 100.0 * SECONDS_PER_YEAR {
        return self::seconds(seconds);
    }
    // Seconds do not matter above an hour, nor minutes above a day.
    let whole = match seconds {
        short if short < SECONDS_PER_HOUR => short.ceil(),
        long if long < SECONDS_PER_DAY => (long / 60.0).ceil() * 60.0,
        days => (days / SECONDS_PER_HOUR).ceil() * SECONDS_PER_HOUR,
    } as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    let parts =
        [(days, if days == 1 { "day" } else { "days" }), (hours, "h"), (minutes, "min"), (whole % 60, "s")];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count} {unit}")).collect();
    if parts.is_empty() { "0 s".to_string() } else { parts.join(" ") }
}

/// A time in seconds: `0 s`, `0.4 ms`, `520 ms`, `1.33 s`, `2.05 min`, `16.0 h`, `> 100 years`.
pub fn seconds(seconds: f64) -> String {
    let size = seconds.abs();
    match size {
        0.0 => "0 s".to_string(),
        _ if size < 0.9995 => format!("{} ms", three_digits(seconds * 1000.0)),
        _ if size < 120.0 => format!("{} s", three_digits(seconds)),
        _ if size < 2.0 * SECONDS_PER_HOUR => format!("{} min", three_digits(seconds / 60.0)),
        _ if size < 2.0 * SECONDS_PER_DAY => format!("{} h", three_digits(seconds / SECONDS_PER_HOUR)),
        _ if size < 2.0 * SECONDS_PER_YEAR => format!("{} days", three_digits(seconds / SECONDS_PER_DAY)),
        _ if size <= 100.0 * SECONDS_PER_YEAR => {
            format!("{} years", three_digits(seconds / SECONDS_PER_YEAR))
        }
        _ => "> 100 years".to_string(),
    }
}

/// A time in milliseconds, shown as [`seconds`] shows it.
pub fn milliseconds(milliseconds: f64) -> String {
    seconds(milliseconds / 1000.0)
}

/// A ratio: `0.93`, `12.4`, `0.0042`.
pub fn ratio(ratio: f64) -> String {
    match ratio.abs() {
        size if size >= 99.95 => count(ratio.round()),
        size if size >= 9.995 => format!("{ratio:.1}"),
        size if size >= 0.0995 || size == 0.0 => format!("{ratio:.2}"),
        size if size >= 0.000_1 => format!("{:.*}", (1.0 - size.log10().floor()) as usize, ratio),
        _ => "< 0.0001".to_string(),
    }
}

/// A rate of writes or commits: `20 /s`, `0.25 /s`.
pub fn rate(per_second: f64) -> String {
    format!("{} /s", plain(per_second))
}

/// A count with thousands separators: `4,297,957`. The median of an even number of counts may be a half.
pub fn count(count: f64) -> String {
    // Above 2^53 there are no tenths to round, and the product could overflow.
    let rounded = if count.abs() < 9e15 { (count * 10.0).round() / 10.0 } else { count };
    let text = if rounded.fract() == 0.0 {
        format!("{:.0}", rounded.abs())
    } else {
        format!("{:.1}", rounded.abs())
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text.as_str(), ""));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if rounded < 0.0 { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{point}{fraction}")
}

/// A share: `10 %`, `99.2 %`. Only an exact 0 is shown as 0 %, and only an exact 1 as 100 %.
pub fn percent(share: f64) -> String {
    let percent = (share * 1000.0).round() / 10.0;
    match percent {
        0.0 if share > 0.0 => "< 0.1 %".to_string(),
        100.0 if share < 1.0 => "99.9 %".to_string(),
        _ => format!("{percent} %"),
    }
}

/// A value in its format, or a dash where it is missing or not finite.
pub fn or_missing(value: Option<f64>, format: fn(f64) -> String) -> String {
    value.filter(|value| value.is_finite()).map_or(MISSING.to_string(), format)
}

/// A median with its range: `1.33 s (1.20 s to 1.50 s)`, with the share of `trials` that had the measurement
/// where that is not all of them.
pub fn spread(spread: Option<Spread>, trials: usize, format: fn(f64) -> String) -> String {
    let Some(spread) = spread else {
        return MISSING.to_string();
    };
    let mut text = format(spread.median);
    let (min, max) = (format(spread.min), format(spread.max));
    if min != max {
        text += &format!(" ({min} to {max})");
    }
    if spread.count < trials {
        text += &format!(" in {} of {trials}", spread.count);
    }
    text
}

/// Three significant digits; from 1 on, at most two decimal places.
fn three_digits(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.9995 => format!("{value:.2}"),
        size if size >= 0.0995 => format!("{value:.3}"),
        size if size >= 0.000_95 => format!("{:.*}", (1.0 - size.log10().floor()) as usize, value),
        _ => format!("{value:.4}"),
    }
}

/// At most three significant digits, without trailing zeros, as a person would type it.
fn plain(value: f64) -> String {
    if value.abs() >= 999.5 {
        return count(value.round());
    }
    let text = three_digits(value);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        bytes, chosen_bytes, count, duration, milliseconds, or_missing, percent, rate, ratio, seconds, spread,
    };
    use crate::compare::Spread;

    #[test]
    fn sizes_have_three_digits() {
        let shown: Vec<String> =
            [0.0, 512.0, 1000.0, 4096.0, 314_572_800.0, 1_048_051_712.0, 2_093_796_557.0, 17_604_431_872.0]
                .map(bytes)
                .to_vec();
        assert_eq!(
            shown,
            ["0 B", "512 B", "0.977 KiB", "4.00 KiB", "300 MiB", "0.976 GiB", "1.95 GiB", "16.4 GiB"]
        );
    }

    #[test]
    fn times_have_the_unit_that_a_person_would_use() {
        let shown: Vec<String> =
            [0.0, 0.000_021, 0.0123, 0.52, 0.9999, 1.333, 72.0, 123.0, 57_600.0, 1e6, 1e9, 1e12]
                .map(seconds)
                .to_vec();
        assert_eq!(
            shown,
            [
                "0 s",
                "0.021 ms",
                "12.3 ms",
                "520 ms",
                "1.00 s",
                "1.33 s",
                "72.0 s",
                "2.05 min",
                "16.0 h",
                "11.6 days",
                "31.7 years",
                "> 100 years",
            ]
        );
        assert_eq!(milliseconds(2.5), "2.50 ms");
    }

    #[test]
    fn planned_times_are_in_units_of_a_clock() {
        let shown =
            [0.0, 0.3, 35.0, 250.0, 3600.0, 60_477.0, 183_000.0, 86_400.0, f64::INFINITY].map(duration);
        assert_eq!(
            shown,
            ["0 s", "1 s", "35 s", "4 min 10 s", "1 h", "16 h 48 min", "2 days 3 h", "1 day", "> 100 years"]
        );
    }

    #[test]
    fn a_chosen_size_keeps_its_unit() {
        let shown = [17e9, 500e6, 1.5e9, 1_073_741_824.0, 262_144_000.0, 1234.0].map(chosen_bytes);
        assert_eq!(shown, ["17.0 GB", "500 MB", "1.50 GB", "1.00 GiB", "250 MiB", "1.21 KiB"]);
    }

    #[test]
    fn ratios_rates_counts_and_shares() {
        assert_eq!(
            [0.0, 0.0042, 0.93, 12.44, 1234.5].map(ratio),
            ["0.00", "0.0042", "0.93", "12.4", "1,235"]
        );
        assert_eq!(ratio(0.000_001), "< 0.0001");
        assert_eq!([0.25, 20.0, 19.87, 12_000.0].map(rate), ["0.25 /s", "20 /s", "19.9 /s", "12,000 /s"]);
        assert_eq!(
            [0.0, 7.5, 999.0, 4_297_957.0, -1000.0].map(count),
            ["0", "7.5", "999", "4,297,957", "-1,000"]
        );
        assert_eq!(
            [0.0, 0.000_1, 0.1, 0.9918, 0.9999, 1.0].map(percent),
            ["0 %", "< 0.1 %", "10 %", "99.2 %", "99.9 %", "100 %"]
        );
    }

    #[test]
    fn missing_values_are_dashes_and_repeated_ones_show_their_range() {
        assert_eq!(or_missing(None, seconds), "–");
        assert_eq!(or_missing(Some(f64::NAN), seconds), "–");
        assert_eq!(or_missing(Some(0.0), seconds), "0 s");
        assert_eq!(spread(Spread::of([1.0]), 1, seconds), "1.00 s");
        assert_eq!(spread(Spread::of([1.2, 1.5, 1.33]), 3, seconds), "1.33 s (1.20 s to 1.50 s)");
        assert_eq!(spread(Spread::of([1.0, 1.0]), 3, seconds), "1.00 s in 2 of 3");
        assert_eq!(spread(None, 3, seconds), "–");
    }

    proptest! {
        #[test]
        fn only_zero_is_shown_as_zero(value in prop::num::f64::NORMAL) {
            for text in [bytes(value.abs().max(0.1)), seconds(value.abs().max(1e-7)), ratio(value)] {
                prop_assert!(text.chars().any(|digit| ('1'..='9').contains(&digit)), "{}", text);
            }
        }
    }
}
