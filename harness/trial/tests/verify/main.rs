//! The verifier, tested by mutation: it finds every damage and never accuses an honest copy.

mod counts;
mod damaged_files;
mod damaged_rows;
mod fixture;
mod honest;
mod odd;
mod own;
mod selective;
mod splice;
mod tracker;
