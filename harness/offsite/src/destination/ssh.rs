//! What destinations behind an SSH server have in common: the settings of the host, a connection of the SFTP protocol
//! (version 3, which every OpenSSH server speaks), and the operations on files there.

pub(super) mod files;
pub(super) mod host;
mod protocol;
mod session;
