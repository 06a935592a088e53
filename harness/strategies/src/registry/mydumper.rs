//! `mydumper`: a logical dump by several threads, loaded back with `myloader` into a fresh server.

use engines::mysql::server::{ARTIFACT, RUN};
use serde::{Deserialize, Serialize};

use crate::halt::Halt;
use crate::mysql_tools::pipeline;
use crate::strategy::{
    BackupContext, Card, Cost, Keeps, Kind, Promise, RestoreContext, Settings, Strategy, complete,
    settings_of,
};

pub struct Mydumper;

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MydumperSettings {
    threads: u32,
}

impl Default for MydumperSettings {
    fn default() -> Self {
        MydumperSettings { threads: 2 }
    }
}

impl Strategy for Mydumper {
    fn card(&self) -> Card {
        Card {
            name: "mydumper",
            summary: "mydumper with several threads, restored with myloader",
            engines: &["mysql"],
            kind: Kind::Logical,
            promise: Promise {
                text: "consistent; keeps every write acknowledged before the backup began; blocks writers for a short \
                       lock at the beginning",
                keeps: Keeps::Earlier,
            },
            settings: &[("threads", "threads of mydumper and of myloader")],
            tools: &[],
            contained: true,
            cost: Cost { backup: 3.0, restore: 40.0 },
        }
    }

    fn complete(&self, given: &Settings) -> Result<Settings, String> {
        let (settings, complete) = complete::<MydumperSettings>(given)?;
        if !(1..=64).contains(&settings.threads) {
            return Err("threads must be from 1 to 64".into());
        }
        Ok(complete)
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> Result<(), Halt> {
        let MydumperSettings { threads } = context.settings();
        let server = context.subject.server_mut()?;
        let script = format!(
            "mydumper --defaults-file={RUN}/client.cnf --database {} --threads {threads} --compress=ZSTD \
             --outputdir {ARTIFACT}/dump",
            server.address().database
        );
        let spec = pipeline("mydumper", context.tools, server, context.destination, &script)?;
        // The compressed size is unknown.
        context.watch.expected_bytes = None;
        context.watch.contain(spec)?;
        context.watch.make_durable()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt> {
        let MydumperSettings { threads } = settings_of(context.settings);
        let server = context.subject.server_mut()?;
        server.start()?;
        let script = format!(
            "myloader --defaults-file={RUN}/client.cnf --database {} --threads {threads} --directory {ARTIFACT}/dump",
            server.address().database
        );
        let spec = pipeline("myloader", context.tools, server, context.artifact, &script)?;
        context.watch.contain(spec)
    }
}
