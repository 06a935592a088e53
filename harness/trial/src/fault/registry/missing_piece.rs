//! `missing-piece`: a piece in the middle of a chain of backups is gone.

use machine::error::{Error, Result};
use machine::removal;
use serde::{Deserialize, Serialize};
use strategies::contract::ConfiguredStrategy;

use crate::deployment::Deployment;
use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene};

inventory::submit! { FaultEntry::of::<MissingPiece>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MissingPiece {}

impl Definition for MissingPiece {
    const NAME: &'static str = "missing-piece";
    const SUMMARY: &'static str = "the middle piece of a chain of backups is removed before the restore";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[];
}

impl Fault for MissingPiece {
    fn moment(&self) -> Moment {
        Moment::BeforeRestore
    }

    fn unsuited(&self, strategy: &ConfiguredStrategy, _deployment: &Deployment) -> Option<String> {
        strategy.abilities().chain.is_none().then(|| "its artifact is not a chain of pieces".into())
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        let pieces =
            scene.strategy.abilities().chain.map_or(Vec::new(), |chain| chain.pieces(&scene.artifact));
        if pieces.len() < 2 {
            return Ok(None);
        }
        let middle = &pieces[pieces.len() / 2];
        let name = scene.below_artifact(middle);
        removal::remove(middle).map_err(|left| Error::Environment(left.to_string()))?;
        Ok(Injected::over(format!("{name} was removed, piece {} of {}", pieces.len() / 2 + 1, pieces.len())))
    }
}
