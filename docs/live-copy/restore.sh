#!/bin/sh
# usage: restore.sh DIRECTORY DATABASE
# Restores a backup of backup.sh. Stop the application first. Nothing is replaced before the copy was checked.
set -eu

fail() {
    echo "restore.sh: $1" >&2
    exit 1
}

[ -e "$1/complete" ] || fail "$1 is not a complete backup"
new=$2.restored
rm -f "$new" "$new-wal" "$new-shm"
cp "$1/database.db" "$new"
if [ -e "$1/database.db-wal" ]; then
    cp "$1/database.db-wal" "$new-wal"
fi
# The log is applied to the file and removed, because this process is the only one that opens it.
verdict=$(sqlite3 -batch -bail "$new" 'PRAGMA wal_checkpoint(TRUNCATE)' 'PRAGMA quick_check' | tail -n 1)
[ "$verdict" = ok ] || fail "the backup is damaged: $verdict"
[ ! -e "$new-wal" ] || fail "the log could not be applied to the database file"
sync "$new"
# They belong to the old file: SQLite would apply them to the new one.
rm -f "$2-wal" "$2-shm" "$2-journal"
mv "$new" "$2"
sync "$(dirname "$2")"
