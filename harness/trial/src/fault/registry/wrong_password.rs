//! `wrong-password`: the password of the database account that the strategy uses is changed before the backup, as when it
//! expired or was rotated. The application stays connected.

use engines::access::DatabaseAccount;
use engines::secret::Secret;
use machine::error::{Error, Result};
use serde::{Deserialize, Serialize};
use strategies::contract::{ConfiguredStrategy, Family};

use crate::deployment::Deployment;
use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene};

inventory::submit! { FaultEntry::of::<WrongPassword>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrongPassword {}

impl Definition for WrongPassword {
    const NAME: &'static str = "wrong-password";
    const SUMMARY: &'static str =
        "the password of the database account is changed, and the strategy has the old one";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[];
}

impl Fault for WrongPassword {
    fn moment(&self) -> Moment {
        Moment::BeforeBackup
    }

    fn unsuited(&self, strategy: &ConfiguredStrategy, deployment: &Deployment) -> Option<String> {
        if deployment.engine.image().is_none() {
            return Some("the database has no accounts".into());
        }
        matches!(strategy.card().family, Family::Cold | Family::Control | Family::Snapshot)
            .then(|| "it copies files, for which it needs no account".into())
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        let Some(DatabaseAccount { name, password: old }) = scene.database.access.account() else {
            return Ok(None);
        };
        let set = |password: &Secret| {
            // The change must not be replayed on a restored server.
            let unlogged = "SET SESSION sql_log_bin = 0".to_owned();
            // MariaDB accepts CURRENT_USER() here and changes nothing.
            vec![unlogged, format!("ALTER USER {name} IDENTIFIED BY '{}'", password.0)]
        };
        let end = scene.other_client(set(&Secret::random()?), Vec::new(), set(old))?;
        // The server refuses a client that has the old password.
        let proof = match scene.database.access.another_client() {
            Err(error) => format!("the server refuses the old password: {error:#}"),
            Ok(_) => return end().map(|_| None),
        };
        if proof.contains(&old.0) {
            return Err(Error::Bug(anyhow::anyhow!("a message contains a password")));
        }
        Ok(Some(Injected { proof, heal: Box::new(move || end().map(|_| ())) }))
    }
}
