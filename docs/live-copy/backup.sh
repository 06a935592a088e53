#!/bin/sh
# usage: backup.sh DATABASE DIRECTORY
# Copies a live SQLite database into an existing, empty directory. The backup is good if DIRECTORY/complete exists.
set -eu

fail() {
    echo "backup.sh: $1" >&2
    exit 1
}

copy() {
    dd if="$1" of="$2" bs=16M count="$(stat -c %s "$1")" iflag=fullblock,count_bytes oflag="$WRITES" status=none
}

# sqlite3 executes this part while it holds the transaction that is opened below.
if [ -n "${LIVE_DATABASE:-}" ]; then
    copy "$LIVE_DATABASE" database.db
    if [ -e "$LIVE_DATABASE-wal" ]; then
        copy "$LIVE_DATABASE-wal" database.db-wal
        head -c 32 "$LIVE_DATABASE-wal" >header # again, and last
        if [ "$(stat -c %s header)" = 32 ]; then
            dd if=header of=database.db-wal conv=notrunc status=none
        else
            : >database.db-wal
        fi
    fi
    : >copied
    exit
fi

LIVE_DATABASE=$(realpath "$1") SELF=$(realpath "$0")
[ ! -e "$LIVE_DATABASE-wal2" ] || fail "$1 is in wal2 mode, which this script cannot copy"
cd "$2"
rm -f database.db database.db-wal header copied complete
# Where the file system allows no direct writes, each block is synchronised before the next one is written.
WRITES=direct
dd if=/dev/null of=header oflag=direct status=none 2>/dev/null || WRITES=dsync
export LIVE_DATABASE SELF WRITES
answers=$(sqlite3 -batch -bail -readonly -cmd '.timeout 10000' "$LIVE_DATABASE" \
    BEGIN 'SELECT count(*) FROM sqlite_schema' \
    ".system '\"\$SELF\"'" \
    'SELECT count(*) FROM sqlite_schema' COMMIT "SELECT 'committed'") || fail "no read transaction on $1"
case $answers in
*committed) ;;
*) fail "the transaction did not last until the end of the copy" ;;
esac
[ -e copied ] || fail "the files were not copied completely"
rm -f header
sync database* .
mv copied complete
sync .
