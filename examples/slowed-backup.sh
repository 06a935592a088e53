#!/bin/sh
# A backup that takes a given share longer than it has to, to try out whether that is noticed.
# In scenarios/gate.toml.
set -eu

case "${1:-}" in
backup)
    percent=$2
    begin=$(date +%s%N)
    sqlite3 "$DRILL_SOURCE" ".timeout 10000" "VACUUM INTO '$DRILL_DESTINATION/copy.sqlite'"
    # Durable first: the wait is to be a share of all that a backup takes.
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
