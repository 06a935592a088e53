//! The verifier, tested by mutation: it finds all damage and never reports damage in an honest copy.

mod counts;
mod damaged_files;
mod damaged_indexes;
mod damaged_rows;
mod fixture;
mod honest;
mod odd;
mod own;
mod selective;
mod splice;
mod tracker;
