//! Passwords.

use std::fmt;

use machine::error::Result;
use serde::{Deserialize, Serialize};

use crate::random::random;

/// A text that must not appear in logs or messages.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl Secret {
    /// A random password of 128 bits, for the servers of one trial.
    ///
    /// # Errors
    /// When there is no source of random numbers.
    pub fn random() -> Result<Secret> {
        Ok(Secret(format!("{:032x}", u128::from_le_bytes(random()?))))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
