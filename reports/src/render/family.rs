//! The groups in which comparisons show strategies, by what an operator must accept to use them.

use crate::compare::Group;
use crate::record::Trial;

/// What using a strategy means for the operator, in the order in which reports show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Family {
    /// The application is stopped for the backup.
    NeedsDowntime,
    /// The application keeps running while a backup is made.
    Online,
    /// Changes are replicated continuously.
    Continuous,
    /// A snapshot on the database's own disk, which does not survive the loss of that disk.
    SameDisk,
    /// A negative control: unsafe on purpose.
    Control,
}

impl Family {
    /// The family of a group of repetitions. It needs downtime if the application was stopped in any of them.
    pub(crate) fn of(group: &Group<'_>) -> Family {
        let of_trials = group.trials.iter().map(|trial| Family::of_trial(trial));
        of_trials.min().unwrap_or_else(|| Family::of_trial(group.first))
    }

    /// The family of one trial. A control or a snapshot keeps its family even if it also stops the application.
    pub(crate) fn of_trial(trial: &Trial) -> Family {
        let kind = trial.kind.as_deref();
        let downtime = trial.impact.as_ref().and_then(|impact| impact.downtime_seconds);
        if trial.control {
            Family::Control
        } else if trial.survives_disk_loss == Some(false)
            || (trial.survives_disk_loss.is_none() && kind == Some("snapshot"))
        {
            Family::SameDisk
        } else if kind == Some("cold") || downtime > Some(0.0) {
            Family::NeedsDowntime
        } else if kind == Some("continuous") {
            Family::Continuous
        } else {
            Family::Online
        }
    }

    /// The heading of its rows.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Family::NeedsDowntime => "Needs downtime",
            Family::Online => "Online",
            Family::Continuous => "Continuous replication",
            Family::SameDisk => "Snapshot on the same disk",
            Family::Control => "Negative controls (unsafe on purpose)",
        }
    }

    /// Its name in JSON and CSV.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Family::NeedsDowntime => "needs_downtime",
            Family::Online => "online",
            Family::Continuous => "continuous",
            Family::SameDisk => "same_disk",
            Family::Control => "control",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Family;
    use crate::compare::groups;
    use crate::example;
    use crate::record::Trial;
    use crate::record::Verdict::Restorable;

    fn family(change: impl Fn(&mut Trial)) -> Family {
        let mut trial = example::trial("any", Restorable);
        change(&mut trial);
        Family::of_trial(&trial)
    }

    #[test]
    fn each_kind_has_its_family() {
        let kind = |kind: &'static str| family(move |trial| trial.kind = Some(kind.into()));
        assert_eq!(kind("online"), Family::Online);
        assert_eq!(kind("logical"), Family::Online);
        assert_eq!(kind("cold"), Family::NeedsDowntime);
        assert_eq!(kind("continuous"), Family::Continuous);
        // A snapshot that is copied to another disk is an online backup.
        assert_eq!(kind("snapshot"), Family::Online);
        assert_eq!(family(|trial| trial.survives_disk_loss = Some(false)), Family::SameDisk);
        assert_eq!(
            family(|trial| {
                trial.control = true;
                trial.survives_disk_loss = Some(false);
            }),
            Family::Control
        );
    }

    #[test]
    fn a_script_that_stopped_the_application_once_needs_downtime() {
        let mut stopped = example::trial("script", Restorable);
        stopped.kind = Some("external".into());
        let not_stopped = stopped.clone();
        stopped.impact.as_mut().unwrap().downtime_seconds = Some(1.5);
        let trials = [not_stopped, stopped];
        assert_eq!(Family::of(&groups(&trials)[0]), Family::NeedsDowntime);
    }
}
