#!/bin/sh
# usage: demonstration.sh [checkpoint|writes]
# Copies a live database inside a read transaction, while its log is reset: by a checkpoint, or also written again. Every
# step waits for the one before, so the result is always the same. It works in a temporary directory, and removes it.
set -eu

writes() {
    for number in $(seq "$1"); do
        echo "BEGIN; UPDATE counts SET n = n + 1 WHERE id = 1 + $number % 40; UPDATE total SET n = n + 1; COMMIT;"
    done
}

show() {
    echo "$1: $(sqlite3 "$2" "SELECT n || ' writes in the total, ' || (SELECT sum(n) FROM counts) || ' in the rows'
        FROM total" 'PRAGMA integrity_check' | paste -s -d , | sed 's/,/, integrity_check: /2')"
}

case ${STEP:-application} in
application)
    SELF=$(realpath "$0") RESET=${1:-checkpoint} STEP=reader
    export SELF RESET STEP
    directory=$(mktemp -d)
    trap 'rm -r "$directory"' EXIT
    cd "$directory"
    sqlite3 -batch live.db >/dev/null <<SQL
PRAGMA journal_mode = wal;
CREATE TABLE counts (id INTEGER PRIMARY KEY, n INT, padding TEXT);
WITH RECURSIVE i (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 40)
    INSERT INTO counts SELECT i, 0, printf('%.3000c', 'x') FROM i;
CREATE TABLE total (n INT);
INSERT INTO total VALUES (0);
SQL
    # The application starts the reader, so its own connection stays open until the end.
    sqlite3 -batch live.db >/dev/null <<SQL
PRAGMA wal_autocheckpoint = 0;
$(writes 60)
PRAGMA wal_checkpoint(PASSIVE);
.system '"\$SELF"'
SQL
    echo "acknowledged before the copy: 60 writes"
    show "header first" first.db
    show "header last" last.db
    ;;
reader)
    STEP=copy exec sqlite3 -batch -readonly live.db BEGIN 'SELECT count(*) FROM sqlite_schema' \
        ".system '\"\$SELF\"'" COMMIT
    ;;
copy)
    cp live.db first.db
    half=$(($(stat -c %s live.db-wal) / 2))
    head -c "$half" live.db-wal >first.db-wal
    sqlite3 live.db 'PRAGMA wal_checkpoint(TRUNCATE)'
    if [ "$RESET" = writes ]; then
        writes 45 | sqlite3 -batch live.db
    fi
    tail -c "+$((half + 1))" live.db-wal >>first.db-wal
    cp first.db last.db
    cp first.db-wal last.db-wal
    head -c 32 live.db-wal >header
    if [ "$(stat -c %s header)" = 32 ]; then
        dd if=header of=last.db-wal conv=notrunc status=none
    else
        : >last.db-wal
    fi
    ;;
esac
