//! The settings of `snapshot` in a scenario.

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Snapshot {
    pub(super) busy_timeout_ms: u64,
    pub(super) hold: Hold,
    pub(super) lock: Lock,
    pub(super) mechanism: Mechanism,
    pub(super) order: Order,
    pub(super) pause_ms: u64,
}

impl Default for Snapshot {
    fn default() -> Self {
        Snapshot {
            busy_timeout_ms: 10_000,
            hold: Hold::Read,
            lock: Lock::Nothing,
            mechanism: Mechanism::Auto,
            order: Order::DatabaseFirst,
            pause_ms: 0,
        }
    }
}

/// What takes the snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mechanism {
    Auto,
    Lvm,
    Reflink,
    Subvolume,
    Zfs,
}

/// The transaction that is held on a SQLite file meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Hold {
    Nothing,
    Read,
    Write,
}

/// The lock that is held on a MySQL server meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Lock {
    Nothing,
    Instance,
    Global,
}

/// Which file is first, when files are captured one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Order {
    DatabaseFirst,
    WalFirst,
}

impl Snapshot {
    /// Reflinks with nothing held promise nothing.
    pub(super) fn is_unsafe(&self) -> bool {
        self.mechanism == Mechanism::Reflink && self.hold == Hold::Nothing
    }
}
