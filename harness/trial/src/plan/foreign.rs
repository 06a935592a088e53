//! Scenarios that are not as they should be: each is planned or refused, and none makes the planner panic or plan without
//! end.

use proptest::prelude::*;

use super::{Plan, TRIALS_MAX};
use crate::scenario::{Overrides, Scenario};

/// The texts of the shipped scenarios.
fn shipped() -> Vec<String> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios");
    let files = std::fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path());
    let scenarios = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    scenarios.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// A value that a user may have typed.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("0".to_owned()),
        Just("-1".to_owned()),
        Just("1000".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("1e308".to_owned()),
        Just("nan".to_owned()),
        Just("true".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("[[1]]".to_owned()),
        Just("\"18446744073709551615 B\"".to_owned()),
        Just("\"1 PiB\"".to_owned()),
        Just("\"none\"".to_owned()),
        Just("\"\"".to_owned()),
        "\"[a-z0-9./=,-]{0,12}\"",
        "\\PC{0,8}",
    ]
}

/// What happens to a line.
#[derive(Clone, Debug)]
enum Slip {
    Value(String),
    Removed,
    Twice,
    Cut(usize),
}

fn slip() -> impl Strategy<Value = Slip> {
    prop_oneof![
        4 => value().prop_map(Slip::Value),
        1 => Just(Slip::Removed),
        1 => Just(Slip::Twice),
        1 => any::<usize>().prop_map(Slip::Cut),
    ]
}

fn with_slips(text: &str, slips: &[(usize, Slip)]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (number, slip) in slips {
        let number = number % lines.len();
        let line = &mut lines[number];
        match slip {
            Slip::Value(value) => {
                let key = line.split('=').next().unwrap_or_default().to_owned();
                *line = format!("{key}= {value}");
            }
            Slip::Removed => line.clear(),
            Slip::Twice => *line = format!("{line}\n{line}"),
            Slip::Cut(at) => *line = line.chars().take(at % (line.len() + 1)).collect(),
        }
    }
    lines.join("\n")
}

proptest! {
    #[test]
    fn a_scenario_with_slips_is_planned_or_refused(
        which: usize, slips in prop::collection::vec((any::<usize>(), slip()), 0..4)
    ) {
        let all = shipped();
        let text = with_slips(&all[which % all.len()], &slips);
        if let Ok(scenario) = Scenario::parse("slips", &text)
            && let Ok(plan) = Plan::new(scenario, &Overrides::default())
        {
            prop_assert!((1..=TRIALS_MAX).contains(&plan.trials.len()));
            prop_assert!(plan.seconds() >= 0.0 && plan.disk_bytes() > 0);
        }
    }

    #[test]
    fn any_text_is_refused(text in "\\PC{0,200}") {
        prop_assert!(Scenario::parse("foreign", &text).is_err());
    }
}
