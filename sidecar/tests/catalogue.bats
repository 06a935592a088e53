#!/usr/bin/env bats
# What the manifests and the catalogue say.

load helper

@test "a manifest says what its artifact is, and fits it" {
    make_database
    backup
    manifest sqlite >"$ROOT/manifest"
    name=$(jq -r .object.name "$ROOT/manifest")
    [ "$name" = "$(artifacts)" ]
    [ "$(jq -r .object.blake3 "$ROOT/manifest")" = "$(b3sum --no-names "$BACKUP_DIR/$name")" ]
    [ "$(jq .object.bytes "$ROOT/manifest")" = "$(stat --format=%s "$BACKUP_DIR/$name")" ]
    [ "$(jq -r '[.schema, .version, .kind, .mode, .verified] | join(" ")' "$ROOT/manifest")" = \
        "backup-sidecar-manifest 1 sqlite backup " ]
    [ "$(jq -r .source "$ROOT/manifest")" = "$DATABASE" ]
    [[ $(jq -r .versions.sqlite3 "$ROOT/manifest") == 3.* ]]
    [[ $(jq -r .began "$ROOT/manifest") =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$ ]]
}

@test "a manifest lists the files of the artifact with their digests" {
    make_database
    printf 'one\n' >"$DATA/app 'quoted'.conf"
    make_paths "$DATA/app 'quoted'.conf"
    backup
    tar --extract --zstd --directory "$ROOT/target" --file "$BACKUP_DIR"/sqlite-*.tar.zst
    [ "$(manifest sqlite | jq -r '.files[] | .path + " " + .blake3')" = \
        "database.db $(b3sum --no-names "$ROOT/target/database.db")" ]
    [ "$(manifest config | jq -r '.files[] | "\(.bytes) \(.path) \(.blake3)"')" = \
        "4 ${DATA#/}/app 'quoted'.conf $(b3sum --no-names <<<one)" ]
}

@test "the manifest of a dump names its tool" {
    make_mysqldump
    backup
    [ "$(manifest mysql | jq -r '.source, .mode, .files[0].path')" = $'tracker on database\nmysqldump\nmysql.sql' ]
}

@test "the catalogue lists every backup, in order of time" {
    make_database
    make_paths "$ROOT/bin"
    backup
    backup
    [ "$(jq -r '.schema, (.backups | length)' "$BACKUP_DIR/catalogue.json")" = $'backup-sidecar-catalogue\n4' ]
    [ "$(jq -r '.backups | map(.stamp) == (map(.stamp) | sort)' "$BACKUP_DIR/catalogue.json")" = true ]
}

@test "a damaged manifest does not prevent a backup" {
    make_database
    echo '{' >"$BACKUP_DIR/sqlite-20260101T000000.000000001Z.json"
    run backup
    [ "$status" -eq 0 ]
    [[ $output == *"a manifest in $BACKUP_DIR is damaged"* ]]
}

@test "a manifest is not accessible to others" {
    make_database
    backup
    [ "$(mode_of "$BACKUP_DIR"/sqlite-*.json)" = 600 ]
}

@test "a restore refuses an artifact that does not fit its manifest" {
    make_database
    backup
    name=$(artifacts)
    backup
    newer=$(artifacts | tail -n 1)
    cp "$BACKUP_DIR/$name" "$BACKUP_DIR/$newer.other"
    printf ' ' >>"$BACKUP_DIR/$newer.other"
    mv "$BACKUP_DIR/$newer.other" "$BACKUP_DIR/$newer"
    run restore --sqlite-to "$ROOT/target/tracker.db"
    [ "$status" -eq 1 ]
    [[ $output == *"is not the file that its manifest describes"* ]]
    [ -z "$(ls -A "$ROOT/target")" ]
}

@test "an artifact without a manifest is restored" {
    make_database
    backup
    rm "$BACKUP_DIR"/*.json
    restore --sqlite-to "$ROOT/target/tracker.db"
    [ "$(sqlite3 "$ROOT/target/tracker.db" 'SELECT count(*) FROM torrents')" -eq 2 ]
}
