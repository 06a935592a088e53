//! `prove alerts`: whether somebody is told when backups fail, and when, and whether nobody is told anything on a good
//! day.

use std::time::Duration;

use clap::Args;
use engines::engine::Engine;
use engines::registry;
use harness::alert_trials::{AlertTrials, Answer, Notice, Trouble, left_out, troubles};
use machine::error::{Error, Result, unknown};
use machine::event::Event;
use machine::process::{Cancel, Launcher};
use machine::workspace::Workspace;
use reports::printable;
use reports::render::table::Table;

use super::measure::Output;
use crate::arguments::version::version;
use crate::exit;
use crate::show::Progress;

#[derive(Args)]
pub struct ProveAlerts {
    /// The engine of the database (repeatable) [default: sqlite]
    #[arg(long, value_name = "NAME", value_parser = registry::named)]
    engine: Vec<&'static dyn Engine>,
    /// What goes wrong (repeatable) [default: everything]
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Seconds from one backup to the next
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(2..=3600))]
    interval: u64,
    /// Random seed of the database
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    output: Output,
}

/// What came of each trouble, with what happens in it.
type Answers = Vec<(&'static str, Answer)>;

/// Tries everything that can go wrong. The exit code is 1 when nobody was told of a failure, or somebody without one.
///
/// # Errors
/// An unknown name, or what the machine lacks.
pub fn prove(arguments: &ProveAlerts, cancel: &Cancel) -> Result<u8> {
    let engines = match &arguments.engine[..] {
        [] => vec![registry::DEFAULT],
        chosen => chosen.to_vec(),
    };
    let chosen = chosen(&engines, &arguments.only)?;
    let workspace = Workspace::open(&arguments.output.place.directory())?;
    workspace.sweep()?;
    let mut sections = Vec::new();
    for (engine, troubles) in engines.into_iter().zip(chosen).filter(|(_, troubles)| !troubles.is_empty()) {
        sections.push((engine, answers(engine, troubles, &workspace, arguments, cancel)?));
    }
    arguments.output.publish(&text(&sections, arguments.interval))?;
    let is_right = sections.iter().flat_map(|(_, answers)| answers).all(|(_, answer)| answer.is_right());
    Ok(if is_right { exit::SUCCESS } else { exit::FELL_SHORT })
}

fn answers(
    engine: &'static dyn Engine,
    troubles: Vec<Trouble>,
    workspace: &Workspace,
    arguments: &ProveAlerts,
    cancel: &Cancel,
) -> Result<Answers> {
    let work = workspace.work_directory("alerts")?;
    let launcher = Launcher::new(work.path(), cancel);
    let progress = Progress::new();
    let observer = |event: Event<'_>| progress.show(event);
    let interval = Duration::from_secs(arguments.interval);
    let cache = workspace.cache();
    let trials = AlertTrials::new(&launcher, engine, &cache, interval, arguments.seed, &observer)?;
    progress.finish();
    let mut answers = Vec::new();
    for trouble in troubles {
        eprintln!("{}: {}: {}", engine.title(), trouble.name, trouble.summary);
        let answer = trials.run(&trouble)?;
        eprintln!("  {}", if answer.is_right() { "right" } else { "not right" });
        answers.push((trouble.summary, answer));
    }
    Ok(answers)
}

/// What is tried on each of the engines.
fn chosen(engines: &[&'static dyn Engine], only: &[String]) -> Result<Vec<Vec<Trouble>>> {
    let all: Vec<Vec<Trouble>> = engines.iter().map(|engine| troubles(*engine)).collect();
    let mut names: Vec<&str> = all.iter().flatten().map(|trouble| trouble.name).collect();
    names.sort_unstable();
    names.dedup();
    if let Some(name) = only.iter().find(|name| !names.contains(&name.as_str())) {
        let why = |engine: &&'static dyn Engine| {
            let (_, why) = left_out(*engine).find(|(left_out, _)| left_out == name)?;
            Some(format!("--only {name}: it is left out on {}: {why}", engine.title()))
        };
        let why = engines.iter().find_map(why);
        return Err(Error::Input(
            why.unwrap_or_else(|| format!("--only: {}", unknown("trouble", name, &names))),
        ));
    }
    let is_chosen = |trouble: &Trouble| only.is_empty() || only.iter().any(|name| name == trouble.name);
    Ok(all.into_iter().map(|troubles| troubles.into_iter().filter(is_chosen).collect()).collect())
}

fn text(sections: &[(&'static dyn Engine, Answers)], interval: u64) -> String {
    let engines: String = sections.iter().map(|(engine, _)| format!(" --engine {}", engine.name())).collect();
    let tables: String = sections.iter().map(|(engine, answers)| section(*engine, answers)).collect();
    format!(
        "# The sidecar's alerts on trial\n\nA backup each {interval} s, with a copy in a bucket; backups of SQLite are \
         verified, those of a server are not. A webhook gets the alerts; a monitor expects a ping at each interval, and raises its own alarm after \
         three without one. An answer is right if somebody was told exactly when backups failed, and the alarm ended \
         after the trouble was over. Measured by `prove alerts{engines} --interval {interval}`, version {}.\n{tables}",
        version(),
    )
}

fn section(engine: &dyn Engine, answers: &Answers) -> String {
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
    let left_out: String = left_out(engine).map(|(name, why)| format!("- `{name}`: {why}\n")).collect();
    format!("\n## {}\n\n{}\n\nLeft out:\n\n{left_out}", engine.title(), table.markdown())
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

    fn engine(name: &str) -> &'static dyn Engine {
        registry::named(name).unwrap()
    }

    #[test]
    fn an_unknown_name_is_refused_and_what_is_left_out_says_why() {
        let files = [engine("sqlite")];
        let refused = |name: &str| chosen(&files, &[name.to_owned()]).err().unwrap().to_string();
        assert!(refused("good-dya").contains("good-day"), "{}", refused("good-dya"));
        assert_eq!(
            refused("kill-database"),
            "--only kill-database: it is left out on SQLite: no application runs in these trials"
        );
        let chosen = chosen(&[engine("sqlite"), engine("mysql")], &["kill-database".to_owned()]).unwrap();
        assert_eq!(chosen.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1]);
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
        let answers = vec![
            ("nothing goes wrong", answer("good-day", true, None, Some(4.0))),
            ("the line is cut", answer("line-cut", false, Some((alert, 3.25)), Some(5.5))),
            ("SIGKILL", answer("kill-strategy", false, Some((Notice::Monitor, 15.0)), None)),
        ];
        let text = text(&[(engine("sqlite"), answers)], 5);
        assert!(text.contains("`prove alerts --engine sqlite --interval 5`"), "{text}");
        let table: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        insta::assert_snapshot!(table.join("\n"));
    }
}
