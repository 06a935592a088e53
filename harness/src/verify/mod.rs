//! Holds a restored database against the ledger.
