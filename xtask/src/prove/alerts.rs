//! `prove alerts`: whether somebody is told when backups fail, and when, and whether nobody is told anything on a good
//! day.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use harness::alert_trials::{AlertTrials, Answer, LEFT_OUT, Notice, Trouble, troubles};
use machine::error::{Error, Result, unknown};
use machine::process::{Cancel, Launcher};
use machine::workspace::Workspace;
use reports::printable;
use reports::render::table::Table;

use super::measure::publish;
use crate::arguments::place::Place;
use crate::arguments::version::version;
use crate::exit;

#[derive(Args)]
pub struct ProveAlerts {
    /// What goes wrong (repeatable) [default: everything]
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Seconds from one backup to the next
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(2..=3600))]
    interval: u64,
    /// Random seed of the database
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also write the result to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// Tries everything that can go wrong. The exit code is 1 when nobody was told of a failure, or somebody without one.
///
/// # Errors
/// An unknown name, or what the machine lacks.
pub fn prove(arguments: &ProveAlerts, cancel: &Cancel) -> Result<u8> {
    let chosen = chosen(&arguments.only)?;
    let workspace = Workspace::open(&arguments.place.directory())?;
    workspace.sweep()?;
    let work = workspace.work_directory("alerts")?;
    let launcher = Launcher::new(work.path(), cancel);
    let trials = AlertTrials::new(&launcher, Duration::from_secs(arguments.interval), arguments.seed)?;
    let mut answers = Vec::new();
    for trouble in chosen {
        eprintln!("{}: {}", trouble.name, trouble.summary);
        let answer = trials.run(&trouble)?;
        eprintln!("  {}", if answer.is_right() { "right" } else { "not right" });
        answers.push((trouble.summary, answer));
    }
    publish(&text(&answers, arguments.interval), arguments.out.as_deref())?;
    let is_right = answers.iter().all(|(_, answer)| answer.is_right());
    Ok(if is_right { exit::SUCCESS } else { exit::FELL_SHORT })
}

fn chosen(only: &[String]) -> Result<Vec<Trouble>> {
    let mut all = troubles();
    let names: Vec<&str> = all.iter().map(|trouble| trouble.name).collect();
    for name in only {
        if let Some((_, why)) = LEFT_OUT.iter().find(|(left_out, _)| left_out == name) {
            return Err(Error::Input(format!("--only {name}: this fault is left out: {why}")));
        }
        if !names.contains(&name.as_str()) {
            return Err(Error::Input(format!("--only: {}", unknown("trouble", name, &names))));
        }
    }
    all.retain(|trouble| only.is_empty() || only.iter().any(|name| name == trouble.name));
    Ok(all)
}

fn text(answers: &[(&str, Answer)], interval: u64) -> String {
    let header = ["What goes wrong", "Evidence", "Backups", "Told first", "After", "Over after", "Right"];
    let row = |(summary, answer): &(&str, Answer)| {
        let (told, after) = match &answer.told {
            None => ("nobody".to_owned(), "-".to_owned()),
            Some((notice, seconds)) => (in_words(notice), format!("{seconds:.1} s")),
        };
        let over = answer.over_after.map_or("not over".to_owned(), |seconds| format!("{seconds:.1} s"));
        vec![
            format!("{}: {summary}", answer.trouble),
            printable(&answer.proof),
            if answer.backups_went_on { "went on" } else { "failed" }.to_owned(),
            told,
            after,
            over,
            if answer.is_right() { "yes" } else { "NO" }.to_owned(),
        ]
    };
    let table = Table::of_texts(header, answers.iter().map(row).collect());
    let left_out: String = LEFT_OUT.iter().map(|(name, why)| format!("- `{name}`: {why}\n")).collect();
    format!(
        "# The sidecar's alerts on trial\n\nA backup each {interval} s, verified, with a copy in a bucket. A webhook gets \
         the alerts; a monitor expects a ping at each interval, and raises its own alarm after three without one. An answer \
         is right when somebody was told exactly if no backup succeeded, and the alarm ended after the trouble was over. \
         Measured by `prove alerts --interval {interval}`, version {}.\n\n{}\nLeft out:\n\n{left_out}",
        version(),
        table.markdown()
    )
}

fn in_words(notice: &Notice) -> String {
    match notice {
        Notice::Alert(name) => format!("webhook: {name}"),
        Notice::Monitor => "monitor: no ping".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_refused_and_a_fault_that_is_left_out_says_why() {
        let refused = |name: &str| chosen(&[name.to_owned()]).err().unwrap().to_string();
        assert!(refused("good-dya").contains("good-day"), "{}", refused("good-dya"));
        assert_eq!(
            refused("kill-database"),
            "--only kill-database: this fault is left out: no application runs in these trials"
        );
        assert_eq!(chosen(&["line-cut".to_owned()]).unwrap().len(), 1);
    }

    #[test]
    fn the_matrix_says_who_was_told_and_when() {
        let answer = |trouble, backups_went_on, told, over_after| Answer {
            trouble,
            proof: "seen".into(),
            backups_went_on,
            told,
            over_after,
        };
        let alert = Notice::Alert("backup-failed".into());
        let answers = [
            ("nothing goes wrong", answer("good-day", true, None, Some(4.0))),
            ("the line is cut", answer("line-cut", false, Some((alert, 3.25)), Some(5.5))),
            ("SIGKILL", answer("kill-strategy", false, Some((Notice::Monitor, 15.0)), None)),
        ];
        let text = text(&answers, 5);
        let table: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        insta::assert_snapshot!(table.join("\n"));
    }
}
