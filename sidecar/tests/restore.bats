#!/usr/bin/env bats
# What is restored, what is never overwritten, and that no mode becomes more permissive.

load helper

# Configuration files with everything that is easily lost.
make_configuration() {
    CONFIGURATION=$DATA/etc
    mkdir -p "$CONFIGURATION/private"
    echo 'token = 1' >"$CONFIGURATION/tracker.toml"
    echo hidden >"$CONFIGURATION/.environment"
    echo key >"$CONFIGURATION/private/key with blank"
    ln -s tracker.toml "$CONFIGURATION/current"
    ln -s /nowhere "$CONFIGURATION/dangling"
    chmod 0640 "$CONFIGURATION/tracker.toml"
    chmod 0600 "$CONFIGURATION/.environment"
    chmod 0400 "$CONFIGURATION/private/key with blank"
    chmod 0750 "$CONFIGURATION/private"
    make_paths "# configuration" "" "$CONFIGURATION"
    TARGET=$ROOT/target
    RESTORED=$TARGET$CONFIGURATION
}

@test "SQLite is restored from a backup" {
    make_database
    backup
    restore --sqlite-to "$ROOT/target/a.db"
    [ "$(sqlite3 "$ROOT/target/a.db" 'SELECT group_concat(name) FROM torrents')" = one,two ]
    [ "$(ls -A "$ROOT/target")" = a.db ]
}

@test "SQLite is restored from a dump" {
    make_database
    SQLITE_MODE=dump backup
    restore --sqlite-to "$ROOT/target/a.db"
    [ "$(sqlite3 "$ROOT/target/a.db" 'SELECT group_concat(name) FROM torrents')" = one,two ]
    [ "$(ls -A "$ROOT/target")" = a.db ]
}

@test "the mode of a database is restored, with both settings of SQLITE_MODE" {
    make_database
    chmod 0640 "$DATABASE"
    for SQLITE_MODE in backup dump; do
        export SQLITE_MODE
        backup
        restore --force --sqlite-to "$ROOT/target/$SQLITE_MODE.db"
        [ "$(mode_of "$ROOT/target/$SQLITE_MODE.db")" = 640 ]
    done
}

@test "the owner of a database is restored" {
    ((EUID == 0)) || skip "needs root"
    make_database
    chown 1234:5678 "$DATABASE"
    backup
    restore --sqlite-to "$ROOT/target/a.db"
    [ "$(stat --format=%u:%g "$ROOT/target/a.db")" = 1234:5678 ]
}

@test "an existing database is not overwritten" {
    make_database
    backup
    echo precious >"$ROOT/target/a.db"
    run restore --sqlite-to "$ROOT/target/a.db"
    [ "$status" -eq 2 ]
    [ "$(cat "$ROOT/target/a.db")" = precious ]
}

@test "the WAL of another database is not applied to the restored one" {
    make_database
    backup
    echo other >"$ROOT/target/a.db-wal"
    run restore --sqlite-to "$ROOT/target/a.db"
    [ "$status" -eq 2 ]
    restore --force --sqlite-to "$ROOT/target/a.db"
    [ ! -e "$ROOT/target/a.db-wal" ]
}

@test "a forced restore keeps the stricter mode of the existing database" {
    make_database
    chmod 0644 "$DATABASE"
    backup
    echo old >"$ROOT/target/a.db"
    chmod 0600 "$ROOT/target/a.db"
    restore --force --sqlite-to "$ROOT/target/a.db"
    [ "$(mode_of "$ROOT/target/a.db")" = 600 ]
}

@test "a forced restore keeps the stricter mode of the backup" {
    make_database
    chmod 0600 "$DATABASE"
    backup
    echo old >"$ROOT/target/a.db"
    chmod 0666 "$ROOT/target/a.db"
    restore --force --sqlite-to "$ROOT/target/a.db"
    [ "$(mode_of "$ROOT/target/a.db")" = 600 ]
}

@test "if the restored database cannot be put in place, the old one is left with its WAL" {
    make_database
    backup
    echo old >"$ROOT/target/a.db"
    echo log >"$ROOT/target/a.db-wal"
    make_tool mv <<'TOOL'
[[ ${!#} != */a.db || $* == */replaced/* ]] || exit 1
exec /bin/mv "$@"
TOOL
    run restore --force --sqlite-to "$ROOT/target/a.db"
    [ "$status" -eq 1 ]
    [ "$(cat "$ROOT/target/a.db" "$ROOT/target/a.db-wal")" = $'old\nlog' ]
    [ "$(ls -A "$ROOT/target" | wc -l)" -eq 2 ]
}

@test "a damaged backup is not restored, and the target is unchanged" {
    make_database
    backup
    truncate --size=-20 "$BACKUP_DIR"/sqlite-*
    echo old >"$ROOT/target/a.db"
    run restore --force --sqlite-to "$ROOT/target/a.db"
    [ "$status" -eq 1 ]
    [ "$(ls -A "$ROOT/target")" = a.db ]
    [ "$(cat "$ROOT/target/a.db")" = old ]
}

@test "the newest backup is restored, or the one with the given stamp" {
    make_database
    backup
    first=$(artifacts)
    sqlite3 "$DATABASE" 'DELETE FROM torrents'
    backup
    stamp=${first#sqlite-}
    restore --sqlite-to "$ROOT/target/new.db"
    restore --stamp "${stamp%.tar.zst}" --sqlite-to "$ROOT/target/old.db"
    [ "$(sqlite3 "$ROOT/target/new.db" 'SELECT count(*) FROM torrents')" -eq 0 ]
    [ "$(sqlite3 "$ROOT/target/old.db" 'SELECT count(*) FROM torrents')" -eq 2 ]
}

@test "a restore without a backup fails" {
    run restore --sqlite-to "$ROOT/target/a.db"
    [ "$status" -eq 2 ]
    [[ $output == *"no sqlite backup"* ]]
}

@test "invalid arguments are refused" {
    for arguments in "" "--sqlite-to" "--stamp yesterday --mysql" "--unknown"; do
        # shellcheck disable=SC2086 # One word each.
        run restore $arguments
        [ "$status" -eq 2 ]
        [[ $output == *usage:* ]]
    done
}

@test "the list shows every backup and nothing else" {
    make_database
    make_mysqldump
    backup
    touch "$BACKUP_DIR/sqlite-mine.tar.zst"
    [ "$(restore --list | grep -c .)" -eq 2 ]
}

@test "configuration files are restored with their content, hidden files included" {
    make_configuration
    backup
    restore --config-to "$TARGET"
    diff -r --no-dereference "$CONFIGURATION" "$RESTORED"
    [ "$(cat "$RESTORED/.environment")" = hidden ]
}

@test "configuration files are restored with their modes" {
    make_configuration
    backup
    restore --config-to "$TARGET"
    [ "$(mode_of "$RESTORED/tracker.toml")" = 640 ]
    [ "$(mode_of "$RESTORED/.environment")" = 600 ]
    [ "$(mode_of "$RESTORED/private/key with blank")" = 400 ]
    [ "$(mode_of "$RESTORED/private")" = 750 ]
}

@test "configuration files are restored with their owners" {
    ((EUID == 0)) || skip "needs root"
    make_configuration
    chown 1234:5678 "$CONFIGURATION/tracker.toml" "$CONFIGURATION/private"
    chown --no-dereference 1234:5678 "$CONFIGURATION/current"
    backup
    restore --config-to "$TARGET"
    for name in tracker.toml private current; do
        [ "$(stat --format=%u:%g "$RESTORED/$name")" = 1234:5678 ]
    done
    [ "$(stat --format=%u "$RESTORED/.environment")" -eq 0 ]
}

@test "symbolic links are restored as links, also broken ones" {
    make_configuration
    backup
    restore --config-to "$TARGET"
    [ "$(readlink "$RESTORED/current")" = tracker.toml ]
    [ "$(readlink "$RESTORED/dangling")" = /nowhere ]
}

@test "a listed symbolic link is backed up as a link" {
    make_configuration
    make_paths "$CONFIGURATION/dangling"
    backup
    restore --config-to "$TARGET"
    [ "$(readlink "$RESTORED/dangling")" = /nowhere ]
}

@test "the modes of the directories above a listed file are restored" {
    make_configuration
    chmod 0700 "$CONFIGURATION"
    make_paths "$CONFIGURATION/tracker.toml"
    backup
    restore --config-to "$TARGET"
    [ "$(mode_of "$RESTORED")" = 700 ]
    [ ! -e "$RESTORED/.environment" ]
}

@test "an existing configuration file is not overwritten, and nothing else is restored" {
    make_configuration
    backup
    mkdir -p "$RESTORED/private"
    echo precious >"$RESTORED/private/key with blank"
    run restore --config-to "$TARGET"
    [ "$status" -eq 2 ]
    [ "$(cat "$RESTORED/private/key with blank")" = precious ]
    [ ! -e "$RESTORED/tracker.toml" ]
    [ -z "$(find "$TARGET" -name '.backup-sidecar*')" ]
}

@test "a forced restore never makes an existing file more accessible" {
    make_configuration
    backup
    mkdir -p "$RESTORED"
    echo old >"$RESTORED/tracker.toml"
    chmod 0604 "$RESTORED/tracker.toml"
    restore --force --config-to "$TARGET"
    [ "$(cat "$RESTORED/tracker.toml")" = 'token = 1' ]
    [ "$(mode_of "$RESTORED/tracker.toml")" = 600 ]
}

@test "a restore never makes an existing directory more accessible" {
    make_configuration
    backup
    mkdir -p "$RESTORED/private"
    chmod 0700 "$RESTORED/private"
    restore --config-to "$TARGET"
    [ "$(mode_of "$RESTORED/private")" = 700 ]
}

@test "the stricter mode of the backup is set on an existing directory before its files are restored" {
    make_configuration
    chmod 0700 "$CONFIGURATION/private"
    backup
    mkdir -p "$RESTORED/private"
    chmod 0755 "$RESTORED/private"
    make_tool cp <<'TOOL'
[[ $* != *key* ]] || exit 1
exec /bin/cp "$@"
TOOL
    run restore --config-to "$TARGET"
    [ "$status" -eq 1 ]
    [ "$(mode_of "$RESTORED/private")" = 700 ]
    [ -z "$(find "$TARGET" -name '.backup-sidecar*')" ]
}

@test "access control lists of files and directories are restored" {
    command -v setfacl >/dev/null || skip "needs setfacl"
    make_configuration
    setfacl --modify user:1234:r "$CONFIGURATION/tracker.toml" || skip "the file system has no access lists"
    setfacl --modify user:1234:rx,group::--- "$CONFIGURATION/private"
    backup
    restore --config-to "$TARGET"
    for name in tracker.toml private; do
        diff <(cd "$CONFIGURATION" && getfacl "$name") <(cd "$RESTORED" && getfacl "$name")
    done
}

@test "a named pipe among the configuration files is restored and does not block" {
    make_configuration
    mkfifo "$CONFIGURATION/pipe"
    backup
    restore --config-to "$TARGET"
    [ -p "$RESTORED/pipe" ]
    [ -e "$RESTORED/tracker.toml" ]
}

@test "nothing is restored if there is no backup of a requested part" {
    make_database
    backup
    run restore --sqlite-to "$ROOT/target/a.db" --config-to "$ROOT/target"
    [ "$status" -eq 2 ]
    [ ! -e "$ROOT/target/a.db" ]
}

@test "a restore does not follow a link out of its target" {
    make_configuration
    backup
    mkdir -p "$(dirname "$RESTORED")" "$ROOT/outside"
    ln -s "$ROOT/outside" "$RESTORED"
    run restore --force --config-to "$TARGET"
    [ "$status" -eq 2 ]
    [ -z "$(ls -A "$ROOT/outside")" ]
}

@test "a forced restore replaces a link and not its target" {
    make_configuration
    backup
    mkdir -p "$RESTORED"
    echo outside >"$ROOT/outside"
    ln -s "$ROOT/outside" "$RESTORED/tracker.toml"
    restore --force --config-to "$TARGET"
    [ ! -L "$RESTORED/tracker.toml" ]
    [ "$(cat "$ROOT/outside")" = outside ]
}

# A mysql client that answers queries about the database with the text in FACTS, and stores its standard input.
make_mysql_client() {
    make_mysqldump
    backup
    make_tool mysql <<'TOOL'
printf '%s\n' "$@" >>"$RECORDS/client_arguments"
env >"$RECORDS/client_environment"
[[ $* == *"SELECT COUNT"* ]] && { printf "$FACTS"; exit 0; }
[[ $* == *--execute* ]] || cat >"$RECORDS/fed"
TOOL
}

@test "a MySQL dump is loaded into the server, with the password on no command line" {
    make_mysql_client
    FACTS='0\tutf8mb4\tutf8mb4_bin\n' restore --mysql
    grep -q 'CREATE TABLE a' "$RECORDS/fed"
    lacks topsecret "$RECORDS/client_arguments"
}

@test "a server is named only in the option file, because mysql would interpret a socket as a host name" {
    make_mysql_client
    FACTS='' MYSQL_HOST=/run/mysqld.sock restore --mysql
    lacks '^MYSQL_HOST=' "$RECORDS/client_environment"
    lacks '^MYSQL_HOST=' "$RECORDS/environment"
}

@test "a MySQL database with tables is not overwritten" {
    make_mysql_client
    FACTS='3\tutf8mb4\tutf8mb4_bin\n' run restore --mysql
    [ "$status" -eq 2 ]
    [ ! -e "$RECORDS/fed" ]
    lacks DROP "$RECORDS/client_arguments"
}

@test "a forced MySQL restore drops the database and keeps its character set" {
    make_mysql_client
    FACTS='3\tutf8mb4\tutf8mb4_bin\n' restore --force --mysql
    grep -q 'DROP DATABASE `tracker`' "$RECORDS/client_arguments"
    grep -q 'CHARACTER SET utf8mb4 COLLATE utf8mb4_bin' "$RECORDS/client_arguments"
    [ -s "$RECORDS/fed" ]
}

@test "an incomplete MySQL dump is not sent to the server" {
    make_mysql_client
    echo 'CREATE TABLE a(b INT);' | zstd -q -f -o "$BACKUP_DIR"/mysql-20990101T000000.000000000Z.sql.zst
    FACTS='' run restore --mysql
    [ "$status" -eq 1 ]
    [ ! -e "$RECORDS/client_arguments" ]
}
