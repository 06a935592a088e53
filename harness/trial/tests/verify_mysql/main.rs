//! The verifier and the application on real MySQL and MariaDB servers: damage is found, and honest databases pass.

mod damaged;
mod fixture;
mod honest;
mod interrupted;
