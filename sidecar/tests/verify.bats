#!/usr/bin/env bats
# Trial restores.

load helper

verified() {
    manifest "$1" | jq --compact-output .verified
}

make_wal_database() {
    make_database
    sqlite3 "$DATABASE" 'PRAGMA journal_mode=wal' >/dev/null
}

# An sqlite3 that finds fewer rows in what was restored.
make_losing_sqlite3() {
    make_tool sqlite3 <<TOOL
$(command -v sqlite3) "\$@" | { [[ \$* == *verification* ]] && sed 's/"rows":2/"rows":1/' || cat; }
exit "\${PIPESTATUS[0]}"
TOOL
}

@test "without the setting, nothing is verified" {
    make_database
    backup
    [ "$(verified sqlite)" = null ]
}

@test "a backup of SQLite is restored, checked and counted" {
    make_wal_database
    for mode in copy backup dump; do
        rm -f "$BACKUP_DIR"/*
        SQLITE_MODE=$mode VERIFY_EVERY=1 backup
        [ "$(manifest sqlite | jq --compact-output .verified.rows)" = '{"torrents":2}' ]
        [[ $(verified sqlite) == *"rows compared with the source"* ]]
    done
    assert_scratch_gone
}

assert_scratch_gone() {
    [ ! -e "$BACKUP_DIR/.backup-sidecar-partial" ]
}

@test "in a rollback-journal mode, the source is not counted" {
    make_database
    VERIFY_EVERY=1 backup
    [[ $(verified sqlite) == *"checked for damage"* ]]
    [[ $(verified sqlite) != *"compared with the source"* ]]
}

@test "tables with odd names are counted" {
    make_wal_database
    sqlite3 "$DATABASE" "CREATE TABLE \"it's \"\"odd\"\"\"(a); INSERT INTO \"it's \"\"odd\"\"\" VALUES (1);
        CREATE VIRTUAL TABLE text USING fts5(body)"
    VERIFY_EVERY=1 backup
    [ "$(manifest sqlite | jq '.verified.rows["it'\''s \"odd\""]')" -eq 1 ]
}

@test "a restored database with other rows fails, is not stored, and is alerted" {
    make_wal_database
    make_curl
    make_losing_sqlite3
    ALERT_WEBHOOK=http://alerts.example.org VERIFY_EVERY=1 run backup
    [ "$status" -eq 1 ]
    [[ $output == *"torrents has 1 rows instead of 2 to 2"* ]]
    [ "$(requests '"alert":"verification-failed"')" -eq 1 ]
    assert_nothing_left
}

@test "each Nth backup is verified" {
    make_database
    export VERIFY_EVERY=3
    for _ in 1 2 3 4; do
        backup
    done
    [ "$(jq --compact-output '.backups | map(.verified != null)' "$BACKUP_DIR/catalogue.json")" = \
        '[true,false,false,true]' ]
}

@test "configuration files are unpacked and compared with the list" {
    make_paths "$ROOT/bin"
    make_tool tool <<<true
    VERIFY_EVERY=1 backup
    [[ $(verified config) == *"restored in a scratch place"* ]]
}

@test "an archive without one of its files fails" {
    make_paths "$ROOT/bin"
    make_tool tool <<<true
    # The list of members shrinks for tar only.
    make_tool tar <<TOOL
[[ \$* != *--create* ]] || sed --null-data --in-place '\$d' members
$(command -v tar) "\$@"
status=\$?
[[ \$* != *--create* ]] || printf 'gone\0' >>members
exit \$status
TOOL
    VERIFY_EVERY=1 run backup
    [ "$status" -eq 1 ]
    [[ $output == *"verification-failed"* ]]
}

@test "for MySQL, a server to restore into is required" {
    make_mysqldump
    PATH_WITHOUT=$ROOT/bin:$ROOT/few
    mkdir "$ROOT/few"
    for tool in bash b3sum cat date dirname env flock jq mktemp mountpoint realpath tar zstd; do
        ln -s "$(command -v "$tool")" "$ROOT/few/"
    done
    PATH=$PATH_WITHOUT VERIFY_EVERY=1 run "$SIDECAR/backup.sh"
    [ "$status" -eq 2 ]
    [[ $output == *'VERIFY_EVERY is "1": use an image with mysqld or mariadbd'* ]]
}
