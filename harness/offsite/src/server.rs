//! Servers for trials and tests: real ones, on this machine only, each killed when its value is dropped.

mod line;
mod moto;
mod s3;
mod sshd;
mod start;

pub use line::{Line, LineQuality};
pub use moto::{MOTO_PACKAGES, Moto};
pub use s3::{S3Server, ServeS3};
#[cfg(test)]
pub(crate) use s3::{destination as s3_destination, write_credentials};
pub use sshd::{SSHD, Sshd};
