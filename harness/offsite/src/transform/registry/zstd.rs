//! `zstd`: compresses with Zstandard.

use std::io::{Read, Write};

use serde::{Deserialize, Serialize};
use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

use crate::content::copy;
use crate::settings::SettingDoc;
use crate::transform::configured::TransformEntry;
use crate::transform::contract::{Definition, Keys, Transform};

inventory::submit! { TransformEntry::of::<Zstd>() }

/// Threads that compress, as far as the machine has that many.
const THREADS: usize = 2;

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Zstd {
    level: i32,
}

impl Default for Zstd {
    fn default() -> Zstd {
        Zstd { level: 3 }
    }
}

impl Definition for Zstd {
    const NAME: &'static str = "zstd";
    const SUMMARY: &'static str = "compresses with Zstandard on two threads, with a checksum";
    const SUFFIX: &'static str = "zst";
    const SETTINGS: &'static [SettingDoc] = &[SettingDoc {
        name: "level",
        kind: "integer",
        default: "3",
        meaning: "compression level, from 1 (fast) to 19 (small)",
    }];

    fn validate(&self) -> Result<(), String> {
        if (1..=19).contains(&self.level) { Ok(()) } else { Err("level must be from 1 to 19".to_owned()) }
    }
}

impl Transform for Zstd {
    fn apply(&self, _: Keys, input: &mut dyn Read, output: &mut dyn Write) -> anyhow::Result<()> {
        let mut encoder = Encoder::new(output, self.level)?;
        encoder.include_checksum(true)?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
        encoder.multithread(threads as u32)?;
        copy(input, &mut encoder)?;
        encoder.finish()?;
        Ok(())
    }

    fn revert(&self, _: Keys, input: &mut dyn Read, output: &mut dyn Write) -> anyhow::Result<()> {
        // The largest window that the decoder accepts by default is 128 MiB, so memory is bounded for any input.
        copy(&mut Decoder::new(input)?, output)?;
        Ok(())
    }
}
