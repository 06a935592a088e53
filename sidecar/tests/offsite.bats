#!/usr/bin/env bats
# Encryption, and copies at a destination.

load helper

make_key() {
    command -v age-keygen >/dev/null || skip "age is not installed"
    age-keygen 2>/dev/null >"$ROOT/identity"
    age-keygen -y "$ROOT/identity" >"$ROOT/recipients"
    export AGE_RECIPIENTS_FILE=$ROOT/recipients
}

use_destination() {
    command -v rclone >/dev/null || skip "rclone is not installed"
    mkdir "$ROOT/away"
    export DESTINATION=$ROOT/away
}

restored_rows() {
    sqlite3 "$ROOT/target/tracker.db" 'SELECT count(*) FROM torrents'
}

@test "with recipients, artifacts are encrypted and restored with the secret key" {
    make_key
    make_database
    make_mysqldump
    backup
    [[ $(artifacts) == mysql-*.sql.zst.age$'\n'sqlite-*.tar.zst.age ]]
    [ "$(manifest sqlite | jq --compact-output .transforms)" = '["zstd","age"]' ]
    AGE_IDENTITY_FILE=$ROOT/identity restore --sqlite-to "$ROOT/target/tracker.db"
    [ "$(restored_rows)" -eq 2 ]
    [ "$(find "$ROOT/target" -mindepth 1 | wc -l)" -eq 1 ]
}

@test "without the secret key, a restore is refused before anything is done" {
    make_key
    make_database
    backup
    run restore --sqlite-to "$ROOT/target/tracker.db"
    [ "$status" -eq 2 ]
    [[ $output == "error: AGE_IDENTITY_FILE is \"\": "*"is encrypted" ]]
}

@test "with another key, a restore fails and changes nothing" {
    make_key
    make_database
    backup
    age-keygen 2>/dev/null >"$ROOT/other"
    AGE_IDENTITY_FILE=$ROOT/other run restore --sqlite-to "$ROOT/target/tracker.db"
    [ "$status" -eq 1 ]
    [ -z "$(ls -A "$ROOT/target")" ]
}

@test "a secret key in the file of recipients is refused" {
    make_key
    make_database
    AGE_RECIPIENTS_FILE=$ROOT/identity assert_refused AGE_RECIPIENTS_FILE "$ROOT/identity"
}

@test "encrypted artifacts expire, too" {
    make_key
    make_database
    old=sqlite-20250101T000000.000000001Z.tar.zst.age
    echo old >"$BACKUP_DIR/$old"
    backup
    [ ! -e "$BACKUP_DIR/$old" ]
    [ "$(count_artifacts)" -eq 1 ]
}

@test "a backup is copied to the destination, and restored from there alone" {
    use_destination
    make_database
    make_paths "$ROOT/bin"
    make_tool kept <<<true
    backup
    [ "$(find "$ROOT/away" -type f | wc -l)" -eq 4 ]
    rm -r "$BACKUP_DIR"
    restore --from-destination --sqlite-to "$ROOT/target/tracker.db" --config-to "$ROOT/target"
    [ "$(restored_rows)" -eq 2 ]
    [ -x "$ROOT/target$ROOT/bin/kept" ]
    [ -z "$(find "$ROOT/target" /tmp -maxdepth 1 -name '.backup-sidecar-*' 2>/dev/null)" ]
}

@test "an encrypted backup is restored from the destination" {
    make_key
    use_destination
    make_database
    backup
    rm -r "$BACKUP_DIR"
    AGE_IDENTITY_FILE=$ROOT/identity restore --from-destination --sqlite-to "$ROOT/target/tracker.db"
    [ "$(restored_rows)" -eq 2 ]
}

@test "an older backup is restored from the destination by its stamp" {
    use_destination
    make_database
    backup
    stamp=$(restore --from-destination --list | sed 's/^sqlite-//')
    sqlite3 "$DATABASE" 'DELETE FROM torrents'
    backup
    restore --from-destination --stamp "$stamp" --sqlite-to "$ROOT/target/tracker.db"
    [ "$(restored_rows)" -eq 2 ]
}

@test "half an upload does not count as a backup" {
    use_destination
    make_database
    backup
    rm "$ROOT"/away/*.json
    run restore --from-destination --sqlite-to "$ROOT/target/tracker.db"
    [ "$status" -eq 2 ]
    [[ $output == *"there is no sqlite backup at $DESTINATION"* ]]
}

@test "a truncated object is refused" {
    use_destination
    make_database
    backup
    truncate --size=-1 "$ROOT"/away/*.zst
    run restore --from-destination --sqlite-to "$ROOT/target/tracker.db"
    [ "$status" -eq 1 ]
    [[ $output == *"is not the file that its manifest describes"* ]]
    [ -z "$(ls -A "$ROOT/target")" ]
}

@test "a destination that fails makes the cycle fail, keeps the local backup, and is caught up with" {
    use_destination
    make_database
    rm -r "$ROOT/away"
    touch "$ROOT/away"
    run backup
    [ "$status" -eq 1 ]
    [ "$(count_artifacts)" -eq 1 ]
    [[ $output == *"ALERT backup-failed firing: "*copy_to_destination* ]]
    rm "$ROOT/away"
    backup
    [ "$(find "$ROOT/away" -name '*.json' | wc -l)" -eq 2 ]
}

@test "backups expire at the destination by their own manifests" {
    use_destination
    make_database
    old=sqlite-20250101T000000.000000001Z
    older=sqlite-20240101T000000.000000001Z
    echo 1 >"$ROOT/away/$old.tar.zst"
    echo 1 >"$ROOT/away/$older.tar.zst"
    printf '{"object": {"name": "%s.tar.zst"}, "verified": {}}' "$old" >"$ROOT/away/$old.json"
    printf '{"object": {"name": "%s.tar.zst"}, "verified": null}' "$older" >"$ROOT/away/$older.json"
    backup
    # The newest verified one stays.
    [ -e "$ROOT/away/$old.tar.zst" ]
    [ ! -e "$ROOT/away/$older.tar.zst" ]
    [ ! -e "$ROOT/away/$older.json" ]
}

@test "losing the local backups does not remove those at the destination" {
    use_destination
    make_database
    backup
    rm "$BACKUP_DIR"/*
    backup
    [ "$(find "$ROOT/away" -name '*.json' | wc -l)" -eq 2 ]
}

@test "a destination that is neither a remote nor absolute is refused" {
    command -v rclone >/dev/null || skip "rclone is not installed"
    make_database
    DESTINATION=bucket/prefix assert_refused DESTINATION bucket/prefix
}
