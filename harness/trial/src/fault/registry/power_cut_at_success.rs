//! `power-cut-at-success`: the power fails at the instant at which the strategy reports success. The harness does not make
//! the artifact durable first, so that the strategy's own word counts.

use machine::error::Result;
use serde::{Deserialize, Serialize};
use strategies::contract::ConfiguredStrategy;

use super::power_cut::{PowerCut, SETTINGS};
use crate::deployment::Deployment;
use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene, Separates, Stops};

inventory::submit! { FaultEntry::of::<PowerCutAtSuccess>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
struct PowerCutAtSuccess(PowerCut);

impl Definition for PowerCutAtSuccess {
    const NAME: &'static str = "power-cut-at-success";
    const SUMMARY: &'static str = "the power fails at the instant at which the strategy reports success";
    const SETTINGS: &'static [(&'static str, &'static str)] = SETTINGS;

    fn validate(&self) -> std::result::Result<(), String> {
        self.0.validate()
    }
}

impl Fault for PowerCutAtSuccess {
    fn moment(&self) -> Moment {
        Moment::AtSuccess
    }

    fn unsuited(&self, strategy: &ConfiguredStrategy, deployment: &Deployment) -> Option<String> {
        self.0.unsuited(strategy, deployment)
    }

    fn missing(&self) -> Option<String> {
        self.0.missing()
    }

    fn separates(&self) -> Separates {
        self.0.separates()
    }

    fn stops(&self) -> Stops {
        Stops::Machine
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        self.0.inject(scene)
    }
}
