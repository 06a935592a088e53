# shellcheck shell=bash
# Manifests and the catalogue: what each backup is, for people and for other programs. backup.sh sources this file.
#
# A manifest, KIND-STAMP.json, is written when its artifact is complete. README.md describes its fields. An artifact
# without a manifest was made by an older sidecar, or the sidecar was killed in between; it can be restored, too.

MANIFEST_SCHEMA=backup-sidecar-manifest
CATALOGUE_SCHEMA=backup-sidecar-catalogue

# A file of an artifact, for jq.
# shellcheck disable=SC2016 # The variables are jq's.
export FILE_OBJECT='{path: $path, bytes: $bytes, blake3: $blake3}'

# Lists a file that goes into an artifact, in the file `files`.
list_files() {
    run_tool b3sum --no-names -- "$1" >digest &&
        jq --null-input --compact-output --arg path "$1" --argjson bytes "$(stat --format=%s -- "$1")" \
            --arg blake3 "$(<digest)" "$FILE_OBJECT" >files
}

# Lists the regular files of an archive, in the same way. They are read from the archive, because a configuration file may
# have changed since it was archived. tar executes the command for each file.
list_archived_files() {
    # shellcheck disable=SC2016 # The variables are tar's.
    run_tool tar --extract --zstd --file="$1" --to-command='jq --null-input --compact-output \
        --arg path "$TAR_FILENAME" --argjson bytes "$TAR_SIZE" --arg blake3 "$(b3sum --no-names)" "$FILE_OBJECT"' >files
}

# The versions of the programs that made an artifact, as an object.
versions_of() {
    local kind=$1
    {
        case $kind in
            sqlite) printf 'sqlite3 %s\n' "$(sqlite3 --version)" ;;
            mysql) printf 'mysqldump %s\n' "$(mysqldump --no-defaults --version)" ;;
        esac
        [[ $kind == mysql ]] || printf 'tar %s\n' "$(tar --version | sed -n 1p)"
        printf 'zstd %s\n' "$(zstd --version)"
        ! is_encrypted || printf 'age %s\n' "$(age --version)"
    } | jq --null-input --raw-input '[inputs | capture("^(?<key>[^ ]+) (?<value>.*)$")] | from_entries'
}

promise_of() {
    case $1 in
        config) echo "each file as it was when it was read; files are not read at the same moment" ;;
        *) echo "every write acknowledged before 'began'; consistent at one moment" ;;
    esac
}

# write_manifest KIND STAMP FILE NAME MODE SOURCE: prints the manifest of the artifact FILE, which will have this NAME.
write_manifest() {
    local kind=$1 stamp=$2 file=$3 name=$4 mode=$5 source=$6 transforms='["zstd"]' digest versions
    ! is_encrypted || transforms='["zstd", "age"]'
    run_tool b3sum --no-names -- "$file" >digest && digest=$(<digest) && versions=$(versions_of "$kind") || return 1
    jq --slurp --arg schema "$MANIFEST_SCHEMA" --arg kind "$kind" --arg stamp "$stamp" --arg name "$name" \
        --arg mode "$mode" --arg source "$source" --arg promise "$(promise_of "$kind")" \
        --arg began "$(time_of_stamp "$stamp")" --arg ended "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
        --argjson transforms "$transforms" --argjson bytes "$(stat --format=%s -- "$file")" --arg blake3 "$digest" \
        --argjson versions "$versions" --argjson verified "$verification" '{
            schema: $schema, version: 1, kind: $kind, stamp: $stamp, source: $source, mode: $mode, promise: $promise,
            began: $began, ended: $ended, versions: $versions, transforms: $transforms,
            object: {name: $name, bytes: $bytes, blake3: $blake3}, files: ., verified: $verified}' files
}

# A stamp as a moment that other programs read.
time_of_stamp() {
    local stamp=$1
    printf '%s-%s-%sT%s:%s:%sZ' "${stamp:0:4}" "${stamp:4:2}" "${stamp:6:2}" "${stamp:9:2}" "${stamp:11:2}" \
        "${stamp:13:2}"
}

# Names of manifests of a kind that say that their backup was verified, oldest first.
list_verified() {
    local kind=$1 directory=${2:-$BACKUP_DIR} names
    mapfile -t names < <(list_manifests "$kind" "$directory")
    ((${#names[@]} > 0)) || return 0
    (cd "$directory" && jq --raw-output 'select(.verified != null) | input_filename' "${names[@]}")
}

# Puts all manifests together into catalogue.json. It is replaced in one step, so a reader never sees a part of it. A
# failure is logged only: the backup is complete without it.
write_catalogue() {
    local names=() kind
    for kind in "${KINDS[@]}"; do
        mapfile -t -O "${#names[@]}" names < <(list_manifests "$kind")
    done
    if (cd "$BACKUP_DIR" && cat /dev/null "${names[@]}") |
        jq --slurp --arg schema "$CATALOGUE_SCHEMA" --arg at "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
            '{schema: $schema, version: 1, at: $at, backups: sort_by(.stamp)}' >catalogue.partial; then
        sync -- catalogue.partial && mv -- catalogue.partial "$BACKUP_DIR/catalogue.json"
    else
        log "warning: the catalogue could not be written; a manifest in $BACKUP_DIR is damaged"
    fi
}
