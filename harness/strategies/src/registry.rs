//! All strategies: one line for each. A strategy's file enters it in the list of all, so that nothing else names it.

mod borg;
mod cold_copy;
mod external;
mod hot_copy;
mod litestream;
mod maintenance_window;
mod mariadb_backup;
mod mariadb_dump;
mod mydumper;
mod mysql_binlog;
mod mysql_clone;
mod mysql_dump;
mod restic;
mod rustic;
mod selective;
mod sidecar;
mod snapshot;
mod sqlite3_rsync;
mod sqlite_cli_backup;
mod sqlite_dump;
mod sqlite_live_copy;
mod sqlite_online_backup;
mod sqlite_vacuum_into;
mod xtrabackup;

use std::sync::LazyLock;

use machine::error::{Error, Result, unknown};
use machine::worker::JobEntry;

use crate::contract::StrategyEntry;

static STRATEGIES: LazyLock<Vec<&StrategyEntry>> = LazyLock::new(|| {
    let mut all: Vec<&StrategyEntry> = inventory::iter::<StrategyEntry>().collect();
    all.sort_by_key(|strategy| strategy.card().name);
    all
});

/// All strategies, in alphabetical order.
pub fn all() -> &'static [&'static StrategyEntry] {
    &STRATEGIES
}

/// The strategy with this name.
///
/// # Errors
/// [`Error::Input`] with the known names.
pub fn named(name: &str) -> Result<&'static StrategyEntry> {
    let names: Vec<&str> = all().iter().map(|strategy| strategy.card().name).collect();
    match names.iter().position(|known| *known == name) {
        Some(index) => Ok(all()[index]),
        None => Err(Error::Input(unknown("strategy", name, &names))),
    }
}

/// The jobs of all strategies in worker processes.
pub fn jobs() -> impl Iterator<Item = &'static JobEntry> {
    all().iter().flat_map(|strategy| strategy.jobs())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn names_are_unique_and_every_setting_is_documented() {
        let names: Vec<&str> = all().iter().map(|strategy| strategy.card().name).collect();
        assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
        for strategy in all() {
            let card = strategy.card();
            let defaults = strategy.with_defaults();
            let mut documented: Vec<&str> = card.settings.iter().map(|(name, _)| *name).collect();
            documented.sort_unstable();
            let names: Vec<&str> = defaults.settings().keys().map(String::as_str).collect();
            assert_eq!(names, documented, "{}", card.name);
            let engines = card.engines();
            assert!(engines.is_sorted() && !engines.is_empty(), "{}", card.name);
            assert!(engines.iter().all(|engine| engines::registry::named(engine).is_ok()), "{engines:?}");
        }
    }

    #[test]
    fn every_file_is_in_the_list() {
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/registry").read_dir().unwrap().flatten();
        let count = files.filter(|file| file.path().is_file()).count();
        assert_eq!(all().len(), count);
    }

    #[test]
    fn an_unknown_strategy_is_refused_with_the_nearest_name() {
        let Err(error) = named("cold-cpoy") else { panic!("there is no such strategy") };
        let names: Vec<&str> = all().iter().map(|strategy| strategy.card().name).collect();
        let nearest = "unknown strategy 'cold-cpoy' (did you mean 'cold-copy'?)";
        assert_eq!(error.to_string(), format!("{nearest}: expected one of {}", names.join(", ")));
    }
}
