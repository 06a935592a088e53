//! The Torrust tracker: its container, and the announces by which it is written to.

pub mod announces;
mod http;
pub mod image;
mod protocol;
pub mod service;
mod udp;
