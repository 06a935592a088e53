//! A part of a plan that is run separately.

use machine::error::{Error, Result};

use super::{Plan, Shard, pairs};

impl Plan {
    /// Keeps one of `of` parts, which have nearly the same number of comparisons. All repetitions of a trial are in the
    /// same part, together with those of the trial that it is paired with: trials that are compared must run on the
    /// same machine.
    ///
    /// # Errors
    /// [`Error::Input`] when nothing would be left.
    pub fn keep_shard(&mut self, number: u32, of: u32) -> Result<()> {
        let plan = self.trials.iter().map(|trial| trial.id.clone()).collect();
        let mut units: Vec<String> = Vec::new();
        let named = &self.scenario.pairs;
        self.trials.retain(|trial| {
            let unit = pairs::unit(trial, named);
            let at = units.iter().position(|known| *known == unit).unwrap_or_else(|| {
                units.push(unit);
                units.len() - 1
            });
            at as u32 % of == number - 1
        });
        self.shard = Some(Shard { number, of, plan });
        if self.trials.is_empty() {
            return Err(Error::Input(format!(
                "shard {number}/{of} of scenario '{}' has no trials: it can be divided into {} shards at most",
                self.scenario.name,
                units.len()
            )));
        }
        Ok(())
    }
}
