//! `gzip`: compresses with DEFLATE, which every system can read.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::content::copy;
use crate::settings::SettingDoc;
use crate::transform::configured::TransformEntry;
use crate::transform::contract::{Definition, Keys, Transform};

inventory::submit! { TransformEntry::of::<Gzip>() }

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Gzip {
    level: u32,
}

impl Default for Gzip {
    fn default() -> Gzip {
        Gzip { level: 6 }
    }
}

impl Definition for Gzip {
    const NAME: &'static str = "gzip";
    const SUMMARY: &'static str = "compresses with DEFLATE on one thread";
    const SUFFIX: &'static str = "gz";
    const SETTINGS: &'static [SettingDoc] = &[SettingDoc {
        name: "level",
        kind: "integer",
        default: "6",
        meaning: "compression level, from 1 (fast) to 9 (small)",
    }];

    fn validate(&self) -> Result<(), String> {
        if (1..=9).contains(&self.level) { Ok(()) } else { Err("level must be from 1 to 9".to_owned()) }
    }
}

impl Transform for Gzip {
    fn apply(&self, _: Keys, input: &mut dyn Read, output: &mut dyn Write) -> anyhow::Result<()> {
        let mut encoder = GzEncoder::new(output, Compression::new(self.level));
        copy(input, &mut encoder)?;
        encoder.finish()?;
        Ok(())
    }

    fn revert(&self, _: Keys, input: &mut dyn Read, output: &mut dyn Write) -> anyhow::Result<()> {
        // A decoder of a single member would ignore what follows it.
        copy(&mut MultiGzDecoder::new(input), output)?;
        Ok(())
    }
}
