//! The verifier and the application on a real MySQL server: damage is found, and honest databases pass.

mod damaged;
mod fixture;
mod honest;
mod interrupted;
