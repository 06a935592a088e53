#!/usr/bin/env bats
# Which artifacts are removed when they are old, and which are never removed.

load helper

# stamp AGE: the stamp of a moment in the past.
stamp() {
    date -u -d "$1" +%Y%m%dT%H%M%S.000000001Z
}

# make_artifact KIND AGE: prints its name. Its time is that of now, as that of a copied file.
make_artifact() {
    local name
    name=$1-$(stamp "$2").tar.zst
    echo content | zstd -q >"$BACKUP_DIR/$name"
    echo "$name"
}

# make_manifest NAME VERIFIED: with the true digest.
make_manifest() {
    printf '{"object": {"name": "%s", "blake3": "%s"}, "verified": %s}\n' "$1" \
        "$(b3sum --no-names "$BACKUP_DIR/$1")" "$2" >"$BACKUP_DIR/${1%.tar.zst}.json"
}

expire_sqlite() {
    source "$SIDECAR/backup.sh"
    default_settings
    cd "$ROOT"
    remove_expired sqlite
}

# expired RULE=VALUE... <NAMES: which artifacts no rule keeps.
expired() {
    source "$SIDECAR/backup.sh"
    export RETENTION_DAYS=1 "$@"
    default_retention_settings
    choose_expired
}

# A name for each moment.
named() {
    local moment
    for moment in "$@"; do
        echo "sqlite-${moment}T120000.000000000Z.tar.zst"
    done
}

@test "an artifact older than the retention time is removed after a backup" {
    make_database
    old=$(make_artifact sqlite '8 days ago')
    RETENTION_DAYS=7 backup
    [ ! -e "$BACKUP_DIR/$old" ]
    [ "$(count_artifacts)" -eq 1 ]
}

@test "an artifact newer than the retention time is kept" {
    make_database
    young=$(make_artifact sqlite '6 days ago')
    RETENTION_DAYS=7 backup
    [ -e "$BACKUP_DIR/$young" ]
}

@test "the newest artifact is kept, however old" {
    old=$(make_artifact sqlite '80 days ago')
    make_artifact sqlite '90 days ago'
    expire_sqlite
    [ "$(artifacts)" = "$old" ]
}

@test "the newest good artifact is kept if a newer one is damaged" {
    older=$(make_artifact sqlite '90 days ago')
    old=$(make_artifact sqlite '80 days ago')
    echo damaged >"$BACKUP_DIR/sqlite-$(stamp '1 hour ago').tar.zst"
    expire_sqlite
    [ ! -e "$BACKUP_DIR/$older" ]
    [ -e "$BACKUP_DIR/$old" ]
}

@test "an artifact that does not fit its manifest is not a good one" {
    old=$(make_artifact sqlite '80 days ago')
    young=$(make_artifact sqlite '1 hour ago')
    make_manifest "$young" null
    echo other | zstd -q >"$BACKUP_DIR/$young"
    expire_sqlite
    [ -e "$BACKUP_DIR/$old" ]
}

@test "the newest verified artifact is kept, however old" {
    oldest=$(make_artifact sqlite '95 days ago')
    verified=$(make_artifact sqlite '90 days ago')
    unverified=$(make_artifact sqlite '80 days ago')
    young=$(make_artifact sqlite '1 hour ago')
    make_manifest "$oldest" '{"at": "2026-01-01T00:00:00Z"}'
    make_manifest "$verified" '{"at": "2026-01-01T00:00:00Z"}'
    make_manifest "$unverified" null
    make_manifest "$young" null
    expire_sqlite
    [ "$(artifacts)" = "$verified"$'\n'"$young" ]
    [ ! -e "$BACKUP_DIR/${oldest%.tar.zst}.json" ]
    [ -e "$BACKUP_DIR/${verified%.tar.zst}.json" ]
}

@test "nothing is removed when no artifact is good" {
    for age in '80 days ago' '90 days ago'; do
        echo damaged >"$BACKUP_DIR/$(make_artifact sqlite "$age")"
    done
    expire_sqlite
    [ "$(count_artifacts)" -eq 2 ]
}

@test "files that the sidecar did not make are kept, whatever their names" {
    make_database
    old=sqlite-20250101T000000.000000001Z.tar.zst
    for name in notes.txt sqlite-mine.tar.zst "x$old" "$old.old" sqlite-20250101.tar.zst; do
        touch -d '80 days ago' "$BACKUP_DIR/$name"
    done
    RETENTION_DAYS=1 backup
    [ "$(find "$BACKUP_DIR" -mtime +70 | grep -c .)" -eq 5 ]
}

@test "directories and links with the name of an artifact are kept" {
    make_database
    mkdir "$BACKUP_DIR/sqlite-20250101T000000.000000001Z.tar.zst"
    ln -s "$DATABASE" "$BACKUP_DIR/sqlite-20240101T000000.000000001Z.tar.zst"
    RETENTION_DAYS=1 backup
    [ -d "$BACKUP_DIR/sqlite-20250101T000000.000000001Z.tar.zst" ]
    [ -L "$BACKUP_DIR/sqlite-20240101T000000.000000001Z.tar.zst" ]
    [ -e "$DATABASE" ]
}

@test "each kind keeps its own newest" {
    make_database
    config=$(make_artifact config '80 days ago')
    RETENTION_DAYS=1 backup
    [ -e "$BACKUP_DIR/$config" ]
}

@test "nothing is removed after a backup that failed" {
    make_artifact sqlite '90 days ago'
    make_artifact sqlite '80 days ago'
    echo no database >"$DATABASE"
    SQLITE_DATABASE=$DATABASE RETENTION_DAYS=1 run backup
    [ "$status" -eq 1 ]
    [ "$(count_artifacts)" -eq 2 ]
}

@test "a number of last backups is kept" {
    run expired KEEP_LAST=2 < <(named 20260104 20260103 20260102 20260101)
    [ "$output" = "$(named 20260102 20260101)" ]
}

@test "the newest backup of each of the last days is kept" {
    run expired KEEP_DAILY=2 < <(
        echo sqlite-20260104T180000.000000000Z.tar.zst
        named 20260104 20260102 20260101
    )
    [ "$output" = "$(named 20260104 20260101)" ]
}

@test "weeks begin on Monday, and belong to the year of their Thursday" {
    # 2025-12-28 is a Sunday. The 29th and the next 4 January are of week 1 of 2026.
    run expired KEEP_WEEKLY=2 < <(named 20260104 20251229 20251228 20251221)
    [ "$output" = "$(named 20251229 20251221)" ]
}

@test "the newest backup of each of the last months is kept" {
    run expired KEEP_MONTHLY=2 < <(named 20260301 20260228 20260201 20260131)
    [ "$output" = "$(named 20260201 20260131)" ]
}

@test "what any rule keeps is kept" {
    run expired KEEP_LAST=1 KEEP_DAILY=2 KEEP_MONTHLY=3 < <(named 20260304 20260303 20260302 20260215 20260101)
    [ "$output" = "$(named 20260302)" ]
}
