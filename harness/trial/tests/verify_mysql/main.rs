//! The verifier and the application on a real MySQL server: honest databases are never accused, damage is found.

mod damaged;
mod fixture;
mod honest;
mod interrupted;
