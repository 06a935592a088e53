//! What the destination `s3` consists of.

pub(super) mod client;
pub(crate) mod credentials;
pub(super) mod download;
mod explain;
pub(super) mod upload;
