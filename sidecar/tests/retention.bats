#!/usr/bin/env bats
# Which artifacts are removed when they are old, and which are never removed.

load helper

# make_artifact NAME AGE
make_artifact() {
    echo content | zstd -q >"$BACKUP_DIR/$1"
    touch -d "$2" "$BACKUP_DIR/$1"
}

OLD=sqlite-20250101T000000.000000001Z.tar.zst
OLDER=sqlite-20240101T000000.000000001Z.tar.zst

expire_sqlite() {
    source "$SIDECAR/backup.sh"
    RETENTION_DAYS=7
    remove_expired sqlite
}

@test "an artifact older than the retention time is removed after a backup" {
    make_database
    make_artifact "$OLD" '8 days ago'
    RETENTION_DAYS=7 backup
    [ ! -e "$BACKUP_DIR/$OLD" ]
    [ "$(count_artifacts)" -eq 1 ]
}

@test "an artifact newer than the retention time is kept" {
    make_database
    make_artifact "$OLD" '6 days ago'
    RETENTION_DAYS=7 backup
    [ -e "$BACKUP_DIR/$OLD" ]
}

@test "the newest artifact is kept, however old" {
    make_artifact "$OLD" '80 days ago'
    make_artifact "$OLDER" '90 days ago'
    expire_sqlite
    [ "$(artifacts)" = "$OLD" ]
}

@test "the newest good artifact is kept if a newer one is damaged" {
    make_artifact "$OLDER" '90 days ago'
    make_artifact "$OLD" '80 days ago'
    echo damaged >"$BACKUP_DIR/sqlite-20260101T000000.000000001Z.tar.zst"
    expire_sqlite
    [ ! -e "$BACKUP_DIR/$OLDER" ]
    [ -e "$BACKUP_DIR/$OLD" ]
}

@test "nothing is removed when no artifact is good" {
    for name in "$OLD" "$OLDER"; do
        echo damaged >"$BACKUP_DIR/$name"
        touch -d '80 days ago' "$BACKUP_DIR/$name"
    done
    expire_sqlite
    [ "$(count_artifacts)" -eq 2 ]
}

@test "files that the sidecar did not make are kept, whatever their names" {
    make_database
    for name in notes.txt sqlite-mine.tar.zst "x$OLD" "$OLD.old" sqlite-20250101.tar.zst; do
        make_artifact "$name" '80 days ago'
    done
    RETENTION_DAYS=1 backup
    [ "$(find "$BACKUP_DIR" -mtime +70 | grep -c .)" -eq 5 ]
}

@test "directories and links with the name of an artifact are kept" {
    make_database
    mkdir "$BACKUP_DIR/$OLD"
    ln -s "$DATABASE" "$BACKUP_DIR/$OLDER"
    touch -h -d '80 days ago' "$BACKUP_DIR/$OLD" "$BACKUP_DIR/$OLDER"
    RETENTION_DAYS=1 backup
    [ -d "$BACKUP_DIR/$OLD" ]
    [ -L "$BACKUP_DIR/$OLDER" ]
    [ -e "$DATABASE" ]
}

@test "each kind keeps its own newest" {
    make_database
    make_artifact config-20250101T000000.000000001Z.tar.zst '80 days ago'
    RETENTION_DAYS=1 backup
    [ -e "$BACKUP_DIR/config-20250101T000000.000000001Z.tar.zst" ]
}

@test "nothing is removed after a backup that failed" {
    make_artifact "$OLDER" '90 days ago'
    make_artifact "$OLD" '80 days ago'
    echo no database >"$DATABASE"
    SQLITE_DATABASE=$DATABASE RETENTION_DAYS=1 run backup
    [ "$status" -eq 1 ]
    [ "$(count_artifacts)" -eq 2 ]
}
