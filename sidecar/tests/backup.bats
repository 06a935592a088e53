#!/usr/bin/env bats
# What a backup stores, and that a failed one leaves nothing.

load helper

content_of() {
    tar --extract --zstd --to-stdout --file="$BACKUP_DIR"/"$(artifacts | grep "^$1")"
}

@test "a backup of SQLite is a database with all rows" {
    make_database
    backup
    content_of sqlite >"$ROOT/copy.db"
    [ "$(sqlite3 "$ROOT/copy.db" 'SELECT count(*) FROM torrents; PRAGMA integrity_check')" = $'2\nok' ]
}

@test "a dump of SQLite is SQL that creates the database again" {
    make_database
    SQLITE_MODE=dump backup
    content_of sqlite | sqlite3 "$ROOT/copy.db"
    [ "$(sqlite3 "$ROOT/copy.db" 'SELECT count(*) FROM torrents')" -eq 2 ]
}

@test "rows that are only in the WAL are backed up" {
    make_database
    sqlite3 "$DATABASE" 'PRAGMA journal_mode=wal' >/dev/null
    mkfifo "$ROOT/writer"
    sqlite3 "$DATABASE" <"$ROOT/writer" >/dev/null 3>&- &
    exec 9>"$ROOT/writer"
    echo "PRAGMA wal_autocheckpoint=0; INSERT INTO torrents VALUES ('three');" >&9
    wait_until test -s "$DATABASE-wal"
    backup
    exec 9>&-
    content_of sqlite >"$ROOT/copy.db"
    [ "$(sqlite3 "$ROOT/copy.db" 'SELECT count(*) FROM torrents')" -eq 3 ]
}

@test "names carry a stamp in UTC with nanoseconds" {
    make_database
    backup
    [[ $(artifacts) =~ ^sqlite-[0-9]{8}T[0-9]{6}\.[0-9]{9}Z\.tar\.zst$ ]]
}

@test "two backups one right after the other have different names" {
    make_database
    backup
    backup
    [ "$(count_artifacts)" -eq 2 ]
}

@test "artifacts are not accessible to others" {
    make_database
    make_mysqldump
    backup
    [ "$(count_artifacts)" -eq 2 ]
    for name in $(artifacts); do
        [ "$(mode_of "$BACKUP_DIR/$name")" = 600 ]
    done
}

@test "a file that is not a database leaves nothing" {
    for SQLITE_MODE in backup copy dump; do
        export SQLITE_MODE SQLITE_DATABASE=$DATABASE
        printf 'this is not a database, however long it may be' >"$DATABASE"
        run backup
        [ "$status" -eq 1 ]
        assert_nothing_left
    done
}

@test "an empty database file leaves nothing" {
    for SQLITE_MODE in backup copy dump; do
        export SQLITE_MODE SQLITE_DATABASE=$DATABASE
        : >"$DATABASE"
        run backup
        [ "$status" -eq 1 ]
        assert_nothing_left
    done
}

@test "a damaged database leaves nothing in any mode" {
    make_database
    sqlite3 "$DATABASE" 'WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<5000)
        INSERT INTO torrents SELECT hex(randomblob(20)) FROM n'
    dd if=/dev/urandom of="$DATABASE" bs=4096 seek=20 count=5 conv=notrunc status=none
    for SQLITE_MODE in backup copy dump; do
        export SQLITE_MODE
        run backup
        [ "$status" -eq 1 ]
        assert_nothing_left
    done
}

@test "a dump that ends in a rollback leaves nothing, even with exit status 0" {
    make_database
    make_tool sqlite3 <<'TOOL'
[[ $* == *quick_check* ]] && { echo ok; exit 0; }
printf 'BEGIN TRANSACTION;\nROLLBACK; -- due to errors\n'
TOOL
    SQLITE_MODE=dump run backup
    [ "$status" -eq 1 ]
    assert_nothing_left
}

@test "a backup that is empty leaves nothing, even with exit status 0" {
    make_database
    make_tool sqlite3 <<<': >database.db'
    run backup
    [ "$status" -eq 1 ]
    assert_nothing_left
}

@test "a truncated backup leaves nothing, even with exit status 0" {
    make_database
    sqlite3 "$DATABASE" 'CREATE TABLE more(a)'
    real=$(command -v sqlite3)
    make_tool sqlite3 <<TOOL
[[ \$* == *.backup* ]] || exec $real "\$@"
head --bytes=4096 "$DATABASE" >database.db
TOOL
    run backup
    [ "$status" -eq 1 ]
    assert_nothing_left
}

@test "an interrupted transaction that cannot be rolled back from here leaves nothing" {
    make_database
    printf '%s\n' 'PRAGMA cache_size=5; BEGIN; UPDATE torrents SET name = 1;' \
        'WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<5000)' \
        'INSERT INTO torrents SELECT hex(randomblob(20)) FROM n;' '.shell kill -9 $PPID' >"$ROOT/script"
    # The subshell in between prints the message about the killed process.
    (sqlite3 "$DATABASE" <"$ROOT/script" || true) 2>/dev/null
    [ -s "$DATABASE-journal" ]
    for SQLITE_MODE in backup copy dump; do
        export SQLITE_MODE
        run backup
        [ "$status" -eq 1 ]
        assert_nothing_left
    done
}

@test "a database that is locked for too long fails and leaves nothing" {
    make_database
    source "$SIDECAR/backup.sh"
    SQLITE_BUSY_TIMEOUT_MILLISECONDS=100
    mkfifo "$ROOT/writer"
    sqlite3 "$DATABASE" <"$ROOT/writer" >"$ROOT/answers" 3>&- &
    exec 9>"$ROOT/writer"
    echo 'BEGIN EXCLUSIVE; SELECT 1;' >&9
    wait_until test -s "$ROOT/answers"
    run main
    exec 9>&-
    [ "$status" -eq 1 ]
    assert_nothing_left
}

@test "mysqldump gets the options for a consistent dump of only this database" {
    make_mysqldump
    backup
    grep -qx -- --single-transaction "$RECORDS/arguments"
    grep -qx -- --set-gtid-purged=OFF "$RECORDS/arguments"
    [ "$(tail -n 1 "$RECORDS/arguments")" = tracker ]
    zstd -dcq "$BACKUP_DIR"/mysql-*.sql.zst | grep -q 'CREATE TABLE'
}

@test "an option that this mysqldump does not have is not used" {
    make_mysqldump
    HELP_TEXT=--quick backup
    lacks gtid "$RECORDS/arguments"
}

@test "the password is on no command line and not in the environment of the tool" {
    make_mysqldump
    backup
    lacks topsecret "$RECORDS/arguments" "$RECORDS/environment"
    grep -q 'password="topsecret"' "$RECORDS/option_file"
}

@test "the option file is not accessible to others and removed at the end" {
    make_mysqldump
    backup
    [ "$(cat "$RECORDS/modes")" = $'600\n700' ]
    [ ! -e "$(dirname "$(cat "$RECORDS/name")")" ]
}

@test "the option file is removed when mysqldump fails" {
    make_mysqldump
    echo 'exit 2' >>"$ROOT/bin/mysqldump"
    run backup
    [ "$status" -eq 1 ]
    [ ! -e "$(dirname "$(cat "$RECORDS/name")")" ]
    [[ $output != *topsecret* ]]
}

@test "an option file that a killed run has left is removed, and not that of another run" {
    make_mysqldump
    backup
    local parent killed running
    parent=$(dirname "$(dirname "$(cat "$RECORDS/name")")")
    killed=$(mktemp --directory "$parent/backup-sidecar.XXXXXXXXXX")
    running=$(mktemp --directory "$parent/backup-sidecar.XXXXXXXXXX")
    touch --date='2 minutes ago' "$killed" "$running"
    exec 8<"$running"
    flock --nonblock 8
    backup
    [ ! -e "$killed" ]
    [ -d "$running" ]
    rmdir "$running"
}

@test "a password is read from a file without its final line break" {
    make_mysqldump
    unset MYSQL_PASSWORD
    echo 'from file' >"$ROOT/secret"
    MYSQL_PASSWORD_FILE=$ROOT/secret backup
    grep -qx 'password="from file"' "$RECORDS/option_file"
}

@test "quotes, backslashes and number signs in a password are escaped" {
    source "$SIDECAR/backup.sh"
    [ "$(quote_for_option_file 'a"b\c#d')" = '"a\"b\\c#d"' ]
}

@test "a host that begins with a slash is a socket" {
    make_mysqldump
    MYSQL_HOST=/run/mysqld.sock backup
    grep -qx 'socket="/run/mysqld.sock"' "$RECORDS/option_file"
    lacks ^host "$RECORDS/option_file"
}

@test "a dump without its last line leaves nothing, even with exit status 0" {
    use_mysql
    make_tool mysqldump <<<'echo "CREATE TABLE a(b INT);"'
    run backup
    [ "$status" -eq 1 ]
    assert_nothing_left
}

@test "a dump that only mentions its last line in the middle leaves nothing" {
    use_mysql
    make_tool mysqldump <<<'echo "-- Dump completed"; echo "INSERT INTO a VALUES"'
    run backup
    [ "$status" -eq 1 ]
    assert_nothing_left
}

@test "a mysqldump that fails after a complete dump leaves nothing" {
    use_mysql
    make_tool mysqldump <<<'echo "-- Dump completed"; exit 2'
    run backup
    [ "$status" -eq 1 ]
    assert_nothing_left
}

@test "a compressor that fails leaves nothing" {
    make_mysqldump
    make_tool zstd <<<'exit 1'
    run backup
    [ "$status" -eq 1 ]
    assert_nothing_left
}

@test "an artifact that cannot be synced is not stored" {
    make_mysqldump
    make_tool sync <<<'exit 1'
    run backup
    [ "$status" -eq 1 ]
    assert_nothing_left
}

@test "if one part fails, the others are backed up" {
    make_database
    use_mysql
    make_tool mysqldump <<<'exit 2'
    run backup
    [ "$status" -eq 1 ]
    [[ $(artifacts) == sqlite-* ]]
}

@test "a failure is marked, and a success removes the mark" {
    make_mysqldump
    MYSQL_DATABASE=tracker
    mv "$ROOT/bin/mysqldump" "$ROOT/good"
    make_tool mysqldump <<<'exit 2'
    run backup
    [ -s "$BACKUP_DIR/last-failure" ]
    [ ! -e "$BACKUP_DIR/last-success" ]
    mv "$ROOT/good" "$ROOT/bin/mysqldump"
    backup
    [ ! -e "$BACKUP_DIR/last-failure" ]
    [ -e "$BACKUP_DIR/last-success" ]
}

@test "a configuration file that cannot be read completely leaves nothing" {
    echo a >"$DATA/file"
    make_paths "$DATA/file"
    make_tool tar <<<'exit 1'
    run backup
    [ "$status" -eq 1 ]
    assert_nothing_left
}

@test "files that a killed run left are removed" {
    make_database
    mkdir "$BACKUP_DIR/.backup-sidecar-partial"
    echo half >"$BACKUP_DIR/.backup-sidecar-partial/sqlite.partial"
    backup
    [ ! -e "$BACKUP_DIR/.backup-sidecar-partial" ]
    [ "$(count_artifacts)" -eq 1 ]
}

make_closed_wal_database() {
    make_database
    sqlite3 "$DATABASE" 'PRAGMA journal_mode=wal' >/dev/null
    [ "$(ls -A "$DATA")" = tracker.db ]
}

# Creating a file there would fail on a read-only mount, and change the time of the directory.
@test "a closed database in WAL mode is read without creating a file beside it" {
    make_closed_wal_database
    touch --date='1 hour ago' "$DATA"
    before=$(stat --format=%.Y "$DATA")
    backup
    content_of sqlite >"$ROOT/copy.db"
    [ "$(sqlite3 "$ROOT/copy.db" 'SELECT count(*) FROM torrents')" -eq 2 ]
    rm "$BACKUP_DIR"/sqlite-*
    SQLITE_MODE=dump backup
    content_of sqlite | sqlite3 "$ROOT/loaded.db"
    [ "$(sqlite3 "$ROOT/loaded.db" 'SELECT count(*) FROM torrents')" -eq 2 ]
    [ "$(stat --format=%.Y "$DATA")" = "$before" ]
}

@test "a closed database that is opened or written to while it is read leaves nothing" {
    make_closed_wal_database
    real=$(command -v sqlite3)
    for SQLITE_MODE in backup copy; do
        export SQLITE_MODE
        for meanwhile in "touch $DATABASE-wal" "touch $DATABASE-shm" "$real $DATABASE 'INSERT INTO torrents VALUES (3)'"; do
            make_tool sqlite3 <<TOOL
$real "\$@" || exit
[[ \$* != *.backup* && \$* != *.system* ]] || $meanwhile
TOOL
            run backup
            [ "$status" -eq 1 ]
            [[ $output == *"was opened while it was read"* ]]
            assert_nothing_left
            rm -f "$DATABASE"-{wal,shm}
        done
    done
}

@test "a database that is not in WAL mode is read under its locks" {
    make_database
    source "$SIDECAR/backup.sh"
    run is_closed_wal_database
    [ "$status" -eq 1 ]
}

@test "special characters in the URI of an immutable database are escaped" {
    source "$SIDECAR/backup.sh"
    SQLITE_DATABASE='/data/a?b#c%d.db'
    [ "$(immutable_address)" = 'file:/data/a%3fb%23c%25d.db?immutable=1' ]
}

@test "directories that change all the time do not prevent the backup of what is in them" {
    mkdir -p "$DATA"/busy/{1..2000}
    echo one >"$DATA/busy/1/app.conf"
    make_paths "$DATA/busy"
    # A change is noticed only if the clock of the file system moves on meanwhile, hence the many directories.
    perl -e 'while (1) { chmod 0755, @ARGV }' "$DATA"/busy/* 3>&- &
    backup
    kill "$!"
    [ "$(manifest config | jq -r '.files[].path')" = "${DATA#/}/busy/1/app.conf" ]
    tar --extract --zstd --delay-directory-restore --directory "$ROOT/target" --file "$BACKUP_DIR"/config-*.tar.zst
    [ "$(find "$ROOT/target/$DATA/busy" -mindepth 1 -type d | wc -l)" -eq 2000 ]
}

@test "a file that changes while it is copied leaves nothing" {
    make_paths "$DATA/app.log"
    head --bytes 30M /dev/urandom >"$DATA/app.log"
    while :; do echo more >>"$DATA/app.log"; done 3>&- &
    run backup
    kill "$!"
    [ "$status" -eq 1 ]
    [[ $output == *"could not be copied"* ]]
    assert_nothing_left
}
