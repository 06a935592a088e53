#!/bin/sh
# A backup script to start from: a compacted and compressed copy of a SQLite database, and its restore.
# Tested in scenarios/external.toml.
set -eu

case "${1:-}" in
backup)
    sqlite3 "$DRILL_SOURCE" ".timeout 10000" "VACUUM INTO '$DRILL_DESTINATION/copy.sqlite'"
    gzip "$DRILL_DESTINATION/copy.sqlite"
    ls -l "$DRILL_DESTINATION"
    ;;
restore)
    gunzip -c "$DRILL_ARTIFACT/copy.sqlite.gz" >"$DRILL_TARGET"
    ;;
*)
    echo "usage: $0 backup|restore" >&2
    exit 2
    ;;
esac
