//! Names of objects.

use std::fmt;
use std::str::FromStr;

use machine::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The longest name, in bytes: with what is added to it while it is uploaded, every file system takes it.
const BYTES_MAX: usize = 200;

/// The name of an object at a destination: up to 200 bytes of UTF-8 without `/` and control characters, not beginning
/// with a dot. Names that begin with a dot are those of uploads that are not complete.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectName(String);

impl ObjectName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectName {
    type Err = Error;

    fn from_str(text: &str) -> Result<ObjectName> {
        let problem = if text.is_empty() {
            "is empty"
        } else if text.len() > BYTES_MAX {
            "is longer than 200 bytes"
        } else if text.starts_with('.') {
            "begins with a dot"
        } else if text.contains(|character: char| character == '/' || character.is_control()) {
            "contains a slash or a control character"
        } else {
            return Ok(ObjectName(text.to_owned()));
        };
        Err(Error::Input(format!("the object name '{}' {problem}", text.escape_debug())))
    }
}

impl TryFrom<String> for ObjectName {
    type Error = Error;

    fn try_from(text: String) -> Result<ObjectName> {
        text.parse()
    }
}

impl From<ObjectName> for String {
    fn from(name: ObjectName) -> String {
        name.0
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
