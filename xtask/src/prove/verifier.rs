//! `prove verifier`: how much damage to correct databases the verifier finds.

use clap::Args;
use harness::plan::Plan;
use harness::scenario::{Overrides, Scenario};
use harness::trial::Keep;
use harness::trial::damage::{DAMAGES, Damage, NO_DAMAGE};
use harness::trial::judge::{Judgement, judge_damaged};
use machine::error::{Error, Result};
use machine::process::{Cancel, Launcher};
use machine::workspace::Workspace;
use reports::printable;
use reports::record::{Trial, Verdict};
use reports::render::table::Table;

use super::measure::{Output, measure_keeping};
use crate::arguments::version::version;
use crate::exit;

#[derive(Args)]
pub struct ProveVerifier {
    /// A scenario whose trials end with correct databases: name or file
    #[arg(default_value = "verifier")]
    scenario: String,
    /// How often each database is damaged in each way, at another place each time, and how often the undamaged one is verified
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    each: u32,
    /// Random seed of the workload and the damage [default: that of the scenario]
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    output: Output,
}

/// What the verifier said about a database, several times.
#[derive(Clone, Default)]
struct Tally {
    verified: u32,
    /// How often the verdict was as it must be.
    right: u32,
    /// The first verdict that was not.
    wrong: Option<String>,
}

impl Tally {
    fn add(&mut self, is_damaged: bool, judged: &Judgement) {
        let is_found = matches!(judged.verdict, Verdict::Corrupt | Verdict::Failed);
        let is_right = if is_damaged { is_found } else { judged.verdict == Verdict::Restorable };
        self.verified += 1;
        self.right += u32::from(is_right);
        if !is_right {
            self.wrong.get_or_insert_with(|| format!("{}: {}", judged.verdict, judged.reason));
        }
    }
}

/// What was found in the database of one trial: undamaged, and with each kind of damage that it can have.
struct Found {
    database: String,
    honest: Tally,
    damaged: Vec<Option<Tally>>,
}

/// Runs the scenario once, and verifies each of its databases, undamaged and damaged. The exit code is 1 when damage was
/// not found, or an undamaged database was not restorable.
///
/// # Errors
/// Those of a run; [`Error::Environment`] when the scenario leaves no correct database.
pub fn prove(arguments: &ProveVerifier, cancel: &Cancel) -> Result<u8> {
    let directory = arguments.output.place.directory();
    let overrides = Overrides { seed: arguments.seed, repetitions: Some(1), ..Overrides::default() };
    let plan = Plan::new(Scenario::load(&arguments.scenario, &directory)?, &overrides)?;
    let seed = plan.scenario.seed;
    let run = measure_keeping(Keep::All, plan, &arguments.output.place, "prove verifier", cancel)?;
    let workspace = Workspace::open(&directory)?;
    let mut found = Vec::new();
    for trial in &run.results.trials {
        if trial.verdict != Verdict::Restorable {
            return Err(Error::Environment(format!(
                "the trial '{}' left no correct database to damage: {}: {}",
                trial.id, trial.verdict, trial.reason
            )));
        }
        eprintln!("damaging: {}", printable(&trial.id));
        let judged = |damage: &Damage, seed: u64| -> Result<Judgement> {
            let work = workspace.work_directory("judge")?;
            let launcher = Launcher::new(work.path(), cancel);
            let judged = judge_damaged((damage, seed), trial, &run.directory, &launcher)?;
            judged.map_err(|why| Error::Environment(format!("'{}' cannot be judged: {why}", trial.id)))
        };
        found.push(examine(trial, seed, arguments.each, &judged)?);
    }
    let is_right = found.iter().all(Found::is_right);
    arguments.output.publish(&text(&found, &arguments.scenario, seed))?;
    Ok(if is_right { exit::SUCCESS } else { exit::FELL_SHORT })
}

fn examine(
    trial: &Trial,
    seed: u64,
    each: u32,
    judged: &dyn Fn(&Damage, u64) -> Result<Judgement>,
) -> Result<Found> {
    let tally = |damage: &Damage, is_damaged: bool| -> Result<Tally> {
        let mut tally = Tally::default();
        for draw in 0..each {
            tally.add(is_damaged, &judged(damage, seed << 32 | u64::from(draw))?);
        }
        Ok(tally)
    };
    let is_file = engines::registry::named(&trial.engine).is_ok_and(|engine| engine.files().is_some());
    let damaged = DAMAGES.iter().map(|damage| {
        let applies = is_file || !damage.is_of_files();
        applies.then(|| tally(damage, true)).transpose()
    });
    Ok(Found {
        database: database(trial),
        honest: tally(&NO_DAMAGE, false)?,
        damaged: damaged.collect::<Result<_>>()?,
    })
}

/// The engine, and its mode if it has one.
fn database(trial: &Trial) -> String {
    let mode = trial.workload.journal_mode.as_ref().map_or(String::new(), |mode| format!(", {mode} mode"));
    format!("{}{mode}", trial.engine)
}

impl Found {
    fn tallies(&self) -> impl Iterator<Item = (&'static str, Option<&Tally>)> {
        let damaged = DAMAGES.iter().zip(&self.damaged).map(|(damage, tally)| (damage.name, tally.as_ref()));
        std::iter::once((NO_DAMAGE.name, Some(&self.honest))).chain(damaged)
    }

    fn is_right(&self) -> bool {
        self.tallies().filter_map(|(_, tally)| tally).all(|tally| tally.right == tally.verified)
    }
}

/// How many were verified, and how many of these verdicts were right.
fn sum<'a>(tallies: impl Iterator<Item = &'a Tally>) -> (u32, u32) {
    tallies.fold((0, 0), |(verified, right), tally| (verified + tally.verified, right + tally.right))
}

fn text(found: &[Found], scenario: &str, seed: u64) -> String {
    let names = found.first().map_or(Vec::new(), |first| first.tallies().map(|(name, _)| name).collect());
    let rows = names.iter().enumerate().map(|(at, name)| {
        let cell = |found: &Found| match found.tallies().nth(at) {
            Some((_, Some(tally))) => format!("{} of {}", tally.right, tally.verified),
            _ => "-".to_owned(),
        };
        std::iter::once((*name).to_owned()).chain(found.iter().map(cell)).collect()
    });
    let header = std::iter::once("What is wrong").chain(found.iter().map(|found| found.database.as_str()));
    let table = Table::of_texts(header, rows.collect());
    let wrong: String = found
        .iter()
        .flat_map(|found| found.tallies().map(|(name, tally)| (&found.database, name, tally)))
        .filter_map(|(database, name, tally)| Some((database, name, tally?.wrong.as_ref()?)))
        .map(|(database, name, wrong)| format!("- {}: {name}: {}\n", printable(database), printable(wrong)))
        .collect();
    let wrong =
        if wrong.is_empty() { String::new() } else { format!("\nThe first wrong verdicts:\n\n{wrong}") };
    let damaged = sum(found.iter().flat_map(|found| found.damaged.iter().flatten()));
    let honest = sum(found.iter().map(|found| &found.honest));
    format!(
        "# What the verifier finds\n\nOf {} damaged databases, {} were found corrupt. Of {} undamaged ones, {} were \
         restorable. Each cell says how often the verdict was right. Databases of the scenario '{}', seed {seed}. \
         Measured by `prove verifier`, version {}.\n\n{}\n{wrong}",
        damaged.0,
        damaged.1,
        honest.0,
        honest.1,
        printable(scenario),
        version(),
        table.markdown()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(right: u32, wrong: Option<&str>) -> Tally {
        Tally { verified: 3, right, wrong: wrong.map(str::to_owned) }
    }

    #[test]
    fn damage_that_was_not_found_is_shown_with_the_verdict() {
        let of = |database: &str, first: Tally| Found {
            database: database.to_owned(),
            honest: tally(3, None),
            damaged: DAMAGES
                .iter()
                .enumerate()
                .map(|(at, damage)| match at {
                    0 => Some(first.clone()),
                    _ if damage.is_of_files() => None,
                    _ => Some(tally(3, None)),
                })
                .collect(),
        };
        let found =
            [of("an engine", tally(3, None)), of("another", tally(2, Some("restorable: all checks passed")))];
        assert!(found[0].is_right() && !found[1].is_right());
        let text = text(&found, "verifier", 7).replace(&version(), "VERSION");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn only_a_verdict_against_the_database_finds_damage() {
        let judged = |verdict| Judgement { verdict, reason: "why".into(), verification: None };
        let mut tally = Tally::default();
        for verdict in [Verdict::Corrupt, Verdict::Unverified, Verdict::Restorable] {
            tally.add(true, &judged(verdict));
        }
        assert_eq!((tally.verified, tally.right), (3, 1));
        assert_eq!(tally.wrong.unwrap(), "unverified: why");
        let mut tally = Tally::default();
        for verdict in [Verdict::Restorable, Verdict::Corrupt] {
            tally.add(false, &judged(verdict));
        }
        assert_eq!((tally.verified, tally.right), (2, 1));
    }
}
