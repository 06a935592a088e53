#!/usr/bin/env bats
# SQLITE_MODE=copy: the files of a live database, copied while a read transaction is open. Each write of the application
# adds 1 to a row and to the total, so a torn copy shows in their difference and a lost write in the total.

load helper

ROWS=40

# start_application JOURNAL_MODE: creates the database, and opens it in a process that stays.
start_application() {
    sqlite3 "$DATABASE" "PRAGMA journal_mode=$1; CREATE TABLE counts(id INTEGER PRIMARY KEY, n INT, padding TEXT);
        CREATE TABLE total(n INT); INSERT INTO total VALUES (0);
        WITH RECURSIVE i(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM i WHERE i<$ROWS)
        INSERT INTO counts SELECT i, 0, printf('%.3000c', 'x') FROM i" >/dev/null
    mkfifo "$ROOT/commands"
    sqlite3 "$DATABASE" <"$ROOT/commands" >"$ROOT/answers" 2>"$ROOT/errors" 3>&- &
    exec 9>"$ROOT/commands"
    ask 'PRAGMA wal_autocheckpoint=0'
    export SQLITE_DATABASE=$DATABASE SQLITE_MODE=copy
}

# Sends a command to the application, and waits until it was executed.
ask() {
    printf '%s;\n.shell touch "%s"\n' "$1" "$ROOT/executed" >&9
    wait_until test -e "$ROOT/executed"
    rm "$ROOT/executed"
}

# writes FIRST LAST: the SQL of these writes, a transaction each.
writes() {
    local number
    for ((number = $1; number <= $2; number++)); do
        echo "BEGIN; UPDATE counts SET n = n + 1 WHERE id = 1 + $number % $ROWS; UPDATE total SET n = n + 1; COMMIT;"
    done
}

# What an application would see: the number of writes by both ways of counting, and whether the file is sound.
state_of() {
    sqlite3 "$1" 'SELECT n, (SELECT sum(n) FROM counts) FROM total; PRAGMA integrity_check'
}

restored() {
    rm -f "$ROOT/target/restored.db"
    restore --sqlite-to "$ROOT/target/restored.db" >&2
    state_of "$ROOT/target/restored.db"
}

# The tool itself, although a fake one may exist.
real_tool() {
    PATH=${PATH#*:} command -v "$1"
}

# interrupt_copy FILE: copies the file in two halves, and executes standard input (a script) in between.
interrupt_copy() {
    real=$(real_tool dd)
    { echo "set -e" && cat; } >"$ROOT/meanwhile"
    make_tool dd <<TOOL
[[ \$* == *" of=$1 "*count_bytes* ]] || exec $real "\$@"
for argument in "\$@"; do
    case \$argument in if=*) from=\${argument#if=} ;; count=*) bytes=\${argument#count=} ;; esac
done
head --bytes=\$((bytes / 2)) "\$from" >$1
PATH=${PATH#*:} bash "$ROOT/meanwhile" >>"$ROOT/meanwhile-output" 2>&1 || exit
tail --bytes=+\$((bytes / 2 + 1)) "\$from" >>$1
TOOL
}

@test "a copy has one state, although writes and a checkpoint happen while the database file is copied" {
    start_application wal
    ask "$(writes 1 10)"
    interrupt_copy database.db <<<"sqlite3 '$DATABASE' \"$(writes 11 90)\" 'PRAGMA wal_checkpoint(TRUNCATE)'"
    backup
    # The checkpoint was blocked by the transaction.
    [[ $(<"$ROOT/meanwhile-output") == "1|"* ]]
    [ "$(restored)" = $'90|90\nok' ]
}

@test "no acknowledged write is lost, although the log is reset while it is copied" {
    local later
    start_application wal
    for later in "" "$(writes 61 61)"; do
        ask "$(writes 1 60)"
        # From now on, the transaction of a reader does not prevent a reset.
        ask 'PRAGMA wal_checkpoint(PASSIVE)'
        interrupt_copy database.db-wal <<<"sqlite3 '$DATABASE' 'PRAGMA wal_checkpoint(TRUNCATE)' \"$later\""
        backup
        [[ $(<"$ROOT/meanwhile-output") == "0|0|0" ]]
        rm "$ROOT/meanwhile-output"
        [ "$(restored)" = $'60|60\nok' ]
        ask 'UPDATE counts SET n = 0; UPDATE total SET n = 0'
    done
}

@test "writes that are only in the log are folded into the one file, which keeps its journal mode" {
    start_application wal
    ask "$(writes 1 7)"
    backup
    [ "$(tar --list --file="$BACKUP_DIR/$(artifacts)")" = database.db ]
    [ "$(restored)" = $'7|7\nok' ]
    [ "$(sqlite3 "$ROOT/target/restored.db" 'PRAGMA journal_mode')" = wal ]
}

@test "in a rollback-journal mode, the database file is copied while writers wait" {
    start_application delete
    ask "$(writes 1 7)"
    interrupt_copy database.db <<<"! sqlite3 '$DATABASE' \"$(writes 8 90)\""
    backup
    grep -q 'database is locked' "$ROOT/meanwhile-output"
    [ "$(restored)" = $'7|7\nok' ]
    [ "$(sqlite3 "$ROOT/target/restored.db" 'PRAGMA journal_mode')" = delete ]
}

@test "a database under continuous writes is copied with every write that was acknowledged before" {
    start_application wal
    exec 9>&-
    wait
    (while writes 1 "$ROWS"; do :; done) 2>/dev/null | sqlite3 "$DATABASE" >/dev/null 2>&1 3>&- &
    has_writes() {
        (($(sqlite3 "$DATABASE" 'SELECT n FROM total') > $1))
    }
    local round before one other
    for round in 1 2 3 4 5; do
        wait_until has_writes "$((round * 100))"
        before=$(sqlite3 "$DATABASE" 'SELECT n FROM total')
        backup
        IFS='|' read -r one other < <(restored)
        ((one == other && one >= before))
    done
}

@test "paths may contain blanks and quotes" {
    cp --recursive "$SIDECAR" "$ROOT/the sidecar"
    SIDECAR="$ROOT/the sidecar"
    DATABASE="$DATA/the \"tracker\"'s.db"
    start_application wal
    ask "$(writes 1 3)"
    backup
    [ "$(restored)" = $'3|3\nok' ]
}

@test "a database with locking_mode=EXCLUSIVE is refused with the reason" {
    start_application wal
    ask 'PRAGMA locking_mode=EXCLUSIVE'
    ask "$(writes 1 1)"
    source "$SIDECAR/backup.sh"
    SQLITE_BUSY_TIMEOUT_MILLISECONDS=100
    run main
    [ "$status" -eq 1 ]
    [[ $output == *locking_mode=EXCLUSIVE* ]]
    assert_nothing_left
}

@test "a database in wal2 mode is refused" {
    start_application wal
    touch "$DATABASE-wal2"
    run backup
    [ "$status" -eq 1 ]
    [[ $output == *"is in wal2 mode"* ]]
    assert_nothing_left
    rm "$DATABASE-wal2"
    # The file format version of wal2.
    printf '\3\3' | dd of="$DATABASE" bs=1 seek=18 conv=notrunc status=none
    run backup
    [[ $output == *"is in wal2 mode"* ]]
    assert_nothing_left
}

@test "a copy that ends early leaves nothing, although sqlite3 reports success" {
    local file
    start_application wal
    ask "$(writes 1 60)"
    for file in database.db database.db-wal; do
        interrupt_copy "$file" <<<'exit 1'
        run backup
        [ "$status" -eq 1 ]
        [[ $output == *"were not copied in one transaction"* ]]
        assert_nothing_left
    done
    rm "$ROOT/bin/dd"
    make_tool head <<<'exit 1'
    run backup
    [ "$status" -eq 1 ]
    assert_nothing_left
}

@test "a transaction that does not last until the end of the copy leaves nothing" {
    start_application wal
    real=$(real_tool sqlite3)
    # Without the second read and the COMMIT.
    make_tool sqlite3 <<TOOL
[[ \$* == *.system* ]] && exec $real "\${@:1:9}"
exec $real "\$@"
TOOL
    run backup
    [ "$status" -eq 1 ]
    [[ $output == *"were not copied in one transaction"* ]]
    assert_nothing_left
}

@test "a database file that is replaced while it is copied leaves nothing" {
    start_application wal
    interrupt_copy database.db <<<"cp '$DATABASE' '$ROOT/other'; mv '$ROOT/other' '$DATABASE'"
    run backup
    [ "$status" -eq 1 ]
    [[ $output == *"were not copied in one transaction"* ]]
    assert_nothing_left
}

@test "a log that cannot be folded into the file leaves nothing" {
    start_application wal
    ask "$(writes 1 3)"
    real=$(real_tool sqlite3)
    make_tool sqlite3 <<TOOL
[[ \$* == *TRUNCATE* ]] && echo '1|5|0' && exit
exec $real "\$@"
TOOL
    run backup
    [ "$status" -eq 1 ]
    assert_nothing_left
}

@test "every write of a copy goes to the disk at once, with or without direct writes" {
    local flag
    real=$(real_tool dd)
    for flag in direct dsync; do
        start_application wal
        ask "$(writes 1 3)"
        make_tool dd <<TOOL
echo "\$*" >>"$ROOT/calls"
[[ \$* == *direct-probe* ]] && exit $([[ $flag == direct ]]; echo $?)
exec $real "\${@/oflag=direct/oflag=dsync}"
TOOL
        backup
        exec 9>&-
        [ "$(grep -c "of=database.db.*count_bytes oflag=$flag" "$ROOT/calls")" -eq 2 ]
        [ "$(restored)" = $'3|3\nok' ]
        rm "$ROOT"/{calls,commands} "$DATABASE"* "$BACKUP_DIR"/*.zst
    done
}

@test "SIGTERM ends the child that copies, and leaves nothing" {
    start_application wal
    interrupt_copy database.db <<<"echo \$\$ >'$ROOT/child'; sleep 1000"
    "$SIDECAR/backup.sh" 3>&- &
    sidecar=$!
    wait_until test -s "$ROOT/child"
    kill -TERM "$sidecar"
    wait_until is_gone "$sidecar"
    status=0
    wait "$sidecar" || status=$?
    [ "$status" -eq 143 ]
    wait_until is_gone "$(cat "$ROOT/child")"
    assert_nothing_left
}

@test "without a mode, a database in WAL mode is copied, and another is read with .backup" {
    local journal_mode
    for journal_mode in wal:copy delete:backup; do
        start_application "${journal_mode%:*}"
        unset SQLITE_MODE
        ask "$(writes 1 3)"
        interrupt_copy database.db <<<'echo copied'
        backup
        exec 9>&-
        [ "$([[ ! -e $ROOT/meanwhile-output ]] || echo copied)" = "$([[ $journal_mode == *:backup ]] || echo copied)" ]
        [ "$(restored)" = $'3|3\nok' ]
        rm -f "$ROOT"/{meanwhile-output,commands} "$DATABASE"* "$BACKUP_DIR"/*.zst
    done
}
