//! How a scenario has changed since it was run.

use machine::error::Result;
use reports::compare::is_cut_short;
use reports::record::Results;

use super::conditions::{self, BUILD};
use crate::plan::Plan;

/// The differences between a plan and an earlier run of the same command, one line each. Conditions that only one of
/// them names were added or removed by another version of this program, and are ignored.
///
/// # Errors
/// When the scenario's own database cannot be read.
pub fn changes_since(results: &Results, plan: &Plan) -> Result<Vec<String>> {
    let mut now = conditions::declared(&plan.scenario)?;
    now.retain(|name, _| name != BUILD && !name.starts_with("database."));
    let mut lines = conditions::found_differences(&results.run.conditions, &now);
    let gone = results.trials.iter().filter(|trial| plan.trials.iter().all(|planned| planned.id != trial.id));
    lines.extend(gone.map(|trial| format!("the trial '{}' was removed", trial.id)));
    if !is_cut_short(results) {
        let new =
            plan.trials.iter().filter(|planned| results.trials.iter().all(|trial| trial.id != planned.id));
        lines.extend(new.map(|planned| format!("the trial '{}' was added", planned.id)));
    }
    lines.extend(conditions::plan_differences(results, plan));
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::scenario::{Overrides, Scenario};

    const TEXT: &str = "description = 'small'\n[dataset]\nsizes = ['1MiB']\n[workload]\nrates = [10]\n\
                        [[variants]]\nstrategy = 'cold-copy'\n";

    fn plan(text: &str) -> Plan {
        Plan::new(Scenario::parse("small", text).unwrap(), &Overrides::default()).unwrap()
    }

    /// The published run that is most similar to `TEXT`, changed so that it looks like a run of it.
    fn results() -> Results {
        let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reports/published/cold-copy-1GiB");
        let mut results = Results::load(&published.join("results.json")).unwrap();
        let plan = plan(TEXT);
        let planned = &plan.trials[0];
        results.trials.truncate(1);
        results.trials[0].id.clone_from(&planned.id);
        results.trials[0].settings = crate::plan::settings_map(planned.strategy.settings());
        results.trials[0].expected.clear();
        results.run.planned_trials = 1;
        results.run.conditions = conditions::declared(&plan.scenario).unwrap();
        results.run.conditions.insert(BUILD.into(), "of another day".into());
        results
    }

    #[test]
    fn only_differences_are_reported() {
        let results = results();
        assert_eq!(changes_since(&results, &plan(TEXT)).unwrap(), Vec::<String>::new());
        let changed = TEXT.replace("[[variants]]", "multi_row_share = 0.5\n[[variants]]");
        let changed = format!("{changed}expect = ['lossy']\n[[variants]]\nstrategy = 'sqlite-dump'\n");
        insta::assert_snapshot!(changes_since(&results, &plan(&changed)).unwrap().join("\n"), @r"
        workload.multi_row_share was 0.25 and is 0.5
        the trial 'sqlite-dump/wal/1MiB/10/1' was added
        expect of 'cold-copy/wal/1MiB/10/1' was [] and is [lossy]
        ");
        let other = TEXT.replace("1MiB", "2MiB");
        insta::assert_snapshot!(changes_since(&results, &plan(&other)).unwrap().join("\n"), @r"
        the trial 'cold-copy/wal/1MiB/10/1' was removed
        the trial 'cold-copy/wal/2MiB/10/1' was added
        ");
    }
}
