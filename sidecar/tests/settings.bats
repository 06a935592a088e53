#!/usr/bin/env bats
# Every setting is checked before anything is done.

load helper

@test "an unknown mode is refused" {
    make_database
    BACKUP_MODE=hourly assert_refused BACKUP_MODE hourly
}

@test "an interval that is not a number is refused" {
    make_database
    BACKUP_INTERVAL=2m assert_refused BACKUP_INTERVAL 2m
}

@test "an interval of zero is refused" {
    make_database
    BACKUP_INTERVAL=0 assert_refused BACKUP_INTERVAL 0
}

@test "a number with a leading zero is refused" {
    make_database
    BACKUP_INTERVAL=010 assert_refused BACKUP_INTERVAL 010
}

@test "a retention of zero days is refused" {
    make_database
    RETENTION_DAYS=0 assert_refused RETENTION_DAYS 0
}

@test "a negative retention is refused" {
    make_database
    RETENTION_DAYS=-1 assert_refused RETENTION_DAYS -1
}

@test "settings with nothing to back up are refused" {
    assert_refused SQLITE_DATABASE ""
}

@test "an unknown SQLite mode is refused" {
    make_database
    SQLITE_MODE=snapshot assert_refused SQLITE_MODE snapshot
}

@test "a database that does not exist is refused and not created" {
    SQLITE_DATABASE=$DATABASE assert_refused SQLITE_DATABASE "$DATABASE"
    [ ! -e "$DATABASE" ]
}

@test "a database that is a directory is refused" {
    SQLITE_DATABASE=$DATA assert_refused SQLITE_DATABASE "$DATA"
}

@test "a link to a database is refused: its WAL would be searched for beside the link" {
    make_database
    ln -s "$DATABASE" "$ROOT/link.db"
    SQLITE_DATABASE=$ROOT/link.db assert_refused SQLITE_DATABASE "$ROOT/link.db"
    [[ $output == *"$DATABASE"* ]]
}

@test "configuration paths that include the database are refused" {
    make_database
    touch "$DATABASE-wal"
    for path in "$DATA" "$DATABASE" "$DATABASE-wal"; do
        make_paths "$path"
        assert_refused "BACKUP_PATHS ($BACKUP_PATHS)" "$path"
    done
}

@test "a relative database path is refused" {
    SQLITE_DATABASE=tracker.db assert_refused SQLITE_DATABASE tracker.db
}

@test "a database that is mounted without its directory is refused" {
    make_database
    make_tool mountpoint <<<'[[ ${!#} == "$SQLITE_DATABASE" ]]'
    assert_refused SQLITE_DATABASE "$DATABASE"
    [[ $output == *directory* ]]
}

@test "a backup directory that does not exist is refused" {
    make_database
    BACKUP_DIR=$ROOT/nowhere run backup
    [ "$status" -eq 2 ]
    [[ $output == *"BACKUP_DIR is \"$ROOT/nowhere\""* ]]
}

@test "a MySQL host without a user is refused" {
    use_mysql
    MYSQL_USER="" assert_refused MYSQL_USER ""
}

@test "a MySQL host without a database is refused" {
    use_mysql
    MYSQL_DATABASE="" assert_refused MYSQL_DATABASE ""
}

@test "a MySQL database that looks like an option is refused" {
    use_mysql
    MYSQL_DATABASE=--all-databases assert_refused MYSQL_DATABASE --all-databases
}

@test "a MySQL database without a host is refused" {
    make_database
    MYSQL_DATABASE=tracker assert_refused MYSQL_HOST ""
}

@test "a port out of range is refused" {
    use_mysql
    MYSQL_PORT=65536 assert_refused MYSQL_PORT 65536
}

@test "a missing password is refused, an empty one is not" {
    make_mysqldump
    unset MYSQL_PASSWORD
    assert_refused MYSQL_PASSWORD ""
    MYSQL_PASSWORD="" backup
}

@test "a password given twice is refused and not shown" {
    use_mysql
    echo topsecret >"$ROOT/secret"
    MYSQL_PASSWORD_FILE=$ROOT/secret assert_refused MYSQL_PASSWORD_FILE "$ROOT/secret"
    [[ $output != *topsecret* ]]
}

@test "a password file that does not exist is refused" {
    use_mysql
    unset MYSQL_PASSWORD
    MYSQL_PASSWORD_FILE=$ROOT/none assert_refused MYSQL_PASSWORD_FILE "$ROOT/none"
}

@test "a list of paths that does not exist is refused" {
    BACKUP_PATHS=$ROOT/none assert_refused BACKUP_PATHS "$ROOT/none"
}

@test "a list of paths with only comments and blank lines is refused" {
    make_paths '# nothing' '' '   '
    assert_refused BACKUP_PATHS "$ROOT/paths"
}

@test "a listed path that does not exist is refused" {
    make_paths "$DATA/none"
    assert_refused "BACKUP_PATHS ($ROOT/paths)" "$DATA/none"
}

@test "a listed path with '..' is refused" {
    make_paths "$DATA/../data"
    assert_refused "BACKUP_PATHS ($ROOT/paths)" "$DATA/../data"
}

@test "a listed path below a symbolic link is refused with its real path" {
    echo a >"$DATA/file" && ln -s data "$ROOT/link"
    make_paths "$ROOT/link/file"
    assert_refused "BACKUP_PATHS ($ROOT/paths)" "$ROOT/link/file"
    [[ $output == *"$DATA/file" ]]
}

@test "a listed path that contains the backups is refused" {
    make_paths "$ROOT"
    assert_refused "BACKUP_PATHS ($ROOT/paths)" "$ROOT"
}

@test "an empty line is blank" {
    source "$SIDECAR/backup.sh"
    is_comment_or_blank ""
}

@test "a line of spaces and tabs is blank" {
    source "$SIDECAR/backup.sh"
    is_comment_or_blank $' \t '
}

@test "a line with only a carriage return is blank" {
    source "$SIDECAR/backup.sh"
    is_comment_or_blank $'\r'
}

@test "a comment may be indented" {
    source "$SIDECAR/backup.sh"
    is_comment_or_blank "  # /etc/hosts"
}

@test "a path that contains a number sign is not a comment" {
    source "$SIDECAR/backup.sh"
    run is_comment_or_blank "/etc/a#b"
    [ "$status" -eq 1 ]
}

@test "surrounding blanks of paths are removed, inner ones are kept, and a final line break is optional" {
    source "$SIDECAR/backup.sh"
    printf '# list\n\n  /etc/one two\t\r\n/etc/three' >"$ROOT/paths"
    BACKUP_PATHS=$ROOT/paths
    read_configuration_paths
    [ "${#configuration_paths[@]}" -eq 2 ]
    [ "${configuration_paths[0]}" = "/etc/one two" ]
    [ "${configuration_paths[1]}" = "/etc/three" ]
}
