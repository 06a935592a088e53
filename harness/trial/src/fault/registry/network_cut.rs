//! `network-cut`: the line to the destination's server is cut while a backup is published, and mended a moment later.

use std::time::{Duration, Instant};

use machine::error::Result;
use serde::{Deserialize, Serialize};

use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene};

inventory::submit! { FaultEntry::of::<NetworkCut>() }

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NetworkCut {
    seconds: f64,
}

impl Default for NetworkCut {
    fn default() -> NetworkCut {
        NetworkCut { seconds: 2.0 }
    }
}

impl Definition for NetworkCut {
    const NAME: &'static str = "network-cut";
    const SUMMARY: &'static str =
        "the line to the destination is cut at a random moment of the publication, and mended later";
    const SETTINGS: &'static [(&'static str, &'static str)] =
        &[("seconds", "how long it is cut: connections are closed, and new ones refused")];

    fn validate(&self) -> std::result::Result<(), String> {
        let is_possible = (0.001..=3600.0).contains(&self.seconds);
        if is_possible { Ok(()) } else { Err("seconds must be from 0.001 to 3600".into()) }
    }
}

impl Fault for NetworkCut {
    fn moment(&self) -> Moment {
        Moment::DuringPublication
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        let Some(line) = &scene.line else { return Ok(None) };
        let closed = line.cut();
        let waited =
            scene.launcher.cancel.sleep_until(Instant::now() + Duration::from_secs_f64(self.seconds));
        let refused = line.mend();
        waited?;
        if closed + refused == 0 {
            return Ok(None);
        }
        let seconds = self.seconds;
        Ok(Injected::over(format!(
            "the line was cut for {seconds} s: open connections closed: {closed}, new ones refused: {refused}"
        )))
    }
}
