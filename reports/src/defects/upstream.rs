//! Issues in the trackers of the tools' projects that describe what trials find.

/// An issue of a tool's project.
pub struct Upstream {
    /// The strategy that runs the tool.
    pub tool: &'static str,
    /// First and last version of the tool that the issue may explain, as the issue reports them.
    pub versions: [&'static str; 2],
    /// Texts of a trial's reason, findings or output, one of which must be there.
    pub signs: &'static [&'static str],
    /// Its address.
    pub link: &'static str,
    /// What it reports, in a few words.
    pub reports: &'static str,
}

/// Signs of a restored database that SQLite's own checks reject.
const DAMAGED: &[&str] = &["integrity_check", "quick_check", "malformed", "out of order"];
/// A sign of a restored database that lacks a write although it has a later one of the same writer.
const GAP: &str = "was acknowledged but is missing, and its later write";
/// A sign of a replica that was behind.
const BEHIND: &str = "was promised to be kept but is missing";

/// All known issues. Looked up in November 2026.
pub const UPSTREAM: &[Upstream] = &[
    Upstream {
        tool: "litestream",
        versions: ["0.3.0", "0.3.13"],
        signs: DAMAGED,
        link: "https://github.com/benbjohnson/litestream/issues/582",
        reports: "a database restored with 0.3.13 fails integrity checks",
    },
    Upstream {
        tool: "litestream",
        versions: ["0.5.0", "0.5.17"],
        signs: DAMAGED,
        link: "https://github.com/benbjohnson/litestream/issues/1164",
        reports: "a restored database is corrupt; open in July 2026 as a problem of checkpoints and snapshots",
    },
    Upstream {
        tool: "litestream",
        versions: ["0.5.0", "0.5.17"],
        signs: DAMAGED,
        link: "https://github.com/benbjohnson/litestream/issues/1309",
        reports: "a restored database fails integrity_check when writes go on while the first snapshot is built",
    },
    Upstream {
        tool: "litestream",
        versions: ["0.5.0", "0.5.17"],
        signs: &["nonsequential page numbers"],
        link: "https://github.com/benbjohnson/litestream/issues/752",
        reports: "the restore fails after a checkpoint while Litestream was not running",
    },
    Upstream {
        tool: "litestream",
        versions: ["0.5.0", "0.5.17"],
        signs: &["nonsequential page numbers", GAP],
        link: "https://github.com/benbjohnson/litestream/pull/1323",
        reports: "an increment lacks pages that a transaction allocated during a checkpoint",
    },
    Upstream {
        tool: "litestream",
        versions: ["0.5.6", "0.5.7"],
        signs: &[BEHIND],
        link: "https://github.com/benbjohnson/litestream/issues/1083",
        reports: "replication stops without an error when SQLite writes its log from the beginning again",
    },
    Upstream {
        tool: "litestream",
        versions: ["0.5.0", "0.5.17"],
        signs: &["non-contiguous transaction files"],
        link: "https://github.com/benbjohnson/litestream/issues/847",
        reports: "the restore finds no contiguous chain of transaction files",
    },
];
