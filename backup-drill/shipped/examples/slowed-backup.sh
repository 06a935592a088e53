#!/bin/sh
# A backup that is slowed down by a given percentage, to test whether the gate detects it.
# Used in scenarios/gate.toml.
set -eu

case "${1:-}" in
backup)
    percent=$2
    begin=$(date +%s%N)
    sqlite3 "$DRILL_SOURCE" ".timeout 10000" "VACUUM INTO '$DRILL_DESTINATION/copy.sqlite'"
    # Make the copy durable first, because the wait must be a share of the complete backup time.
    sync "$DRILL_DESTINATION/copy.sqlite"
    wait=$((($(date +%s%N) - begin) * percent / 100))
    sleep "$(printf '%d.%09d' $((wait / 1000000000)) $((wait % 1000000000)))"
    ;;
restore)
    cp "$DRILL_ARTIFACT/copy.sqlite" "$DRILL_TARGET"
    ;;
*)
    echo "usage: $0 backup PERCENT|restore" >&2
    exit 2
    ;;
esac
