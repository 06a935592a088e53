# shellcheck shell=bash
# Off the machine: encryption with age, and a destination that rclone reaches. backup.sh and restore.sh source this file.

default_offsite_settings() {
    AGE_RECIPIENTS_FILE=${AGE_RECIPIENTS_FILE:-}
    DESTINATION=${DESTINATION:-}
}

validate_offsite_settings() {
    if is_encrypted; then
        require_tool age
        [[ -f $AGE_RECIPIENTS_FILE && -r $AGE_RECIPIENTS_FILE ]] ||
            setting_error AGE_RECIPIENTS_FILE "$AGE_RECIPIENTS_FILE" "name a readable file with public keys, one a line"
        ! grep --quiet AGE-SECRET-KEY "$AGE_RECIPIENTS_FILE" ||
            setting_error AGE_RECIPIENTS_FILE "$AGE_RECIPIENTS_FILE" "it has a secret key; keep that elsewhere, and use the public one"
        age --encrypt --recipients-file "$AGE_RECIPIENTS_FILE" </dev/null >/dev/null 2>&1 ||
            setting_error AGE_RECIPIENTS_FILE "$AGE_RECIPIENTS_FILE" "list public keys that age accepts, one a line"
    fi
    validate_destination
}

# A path without a remote would be a directory in the container.
validate_destination() {
    [[ -n $DESTINATION ]] || return 0
    require_tool rclone
    [[ $DESTINATION =~ ^(:?[A-Za-z0-9_][A-Za-z0-9_ -]*:.*|/.+)$ && $DESTINATION != *$'\n'* ]] ||
        setting_error DESTINATION "$DESTINATION" "give REMOTE:PATH with a remote that rclone knows, or an absolute path"
}

is_encrypted() {
    [[ -n $AGE_RECIPIENTS_FILE ]]
}

# encrypt FILE: makes FILE.age, and removes FILE.
encrypt() {
    run_tool age --encrypt --recipients-file "$AGE_RECIPIENTS_FILE" --output "$1.age" "$1" && rm -- "$1"
}

RCLONE_DIRECTORY_NOT_FOUND=3

# rclone says on standard error what went wrong. Its own retries are for single requests; a cycle retries the whole. A
# bucket with a wrong name must be an error, not a new bucket.
remote() {
    run_tool rclone --log-level ERROR --retries 1 --low-level-retries 3 --contimeout 15s --timeout 60s \
        --s3-no-check-bucket "$@"
}

# Writes the names of manifests of a kind at the destination into the file `there`, oldest first. Not on standard output:
# in a command substitution, a signal would be handled only afterwards.
list_destination() {
    local kind=$1 status=0
    # Before the first backup, there is no directory.
    remote lsf --files-only --include "/$kind-*.json" "$DESTINATION" >names || status=$?
    ((status == 0 || status == RCLONE_DIRECTORY_NOT_FOUND)) || return 1
    grep --extended-regexp "^$kind-$STAMP_PATTERN\\.json\$" names | LC_ALL=C sort >there
    return 0
}

# Copies every backup that is not there yet, oldest first: also those of cycles whose copy failed. The manifest is copied
# last, and counts as the backup's existence: half an upload never counts.
copy_to_destination() {
    local kind manifest name
    for kind in "${KINDS[@]}"; do
        if ! list_destination "$kind"; then
            log "failed: the destination cannot be listed"
            return 1
        fi
        while read -r manifest; do
            ! grep --quiet --line-regexp --fixed-strings -- "$manifest" there || continue
            name=$(jq --raw-output .object.name "$BACKUP_DIR/$manifest")
            if ! remote copyto -- "$BACKUP_DIR/$name" "$DESTINATION/$name" ||
                ! remote copyto --immutable -- "$BACKUP_DIR/$manifest" "$DESTINATION/$manifest"; then
                log "failed: $name could not be copied to the destination"
                return 1
            fi
            log "copied $name to the destination"
        done < <(list_manifests "$kind")
    done
}

# The same rules as for the backup directory, but for what is there: if the local backups are lost, those stay. A damaged
# file there is found when it is restored: reading all would cost a download.
remove_expired_at_destination() {
    local kind=$1 expired name newest newest_verified
    mkdir -p -- "manifests-$kind"
    if ! remote copy --include "/$kind-*.json" --max-depth 1 "$DESTINATION" "manifests-$kind"; then
        log "warning: nothing was removed from the destination, which cannot be read"
        return 0
    fi
    newest=$(list_manifests "$kind" "manifests-$kind" | tail -n 1)
    newest_verified=$(list_verified "$kind" "manifests-$kind" | tail -n 1)
    expired=$(list_manifests "$kind" "manifests-$kind" | tac | choose_expired)
    while read -r name; do
        [[ -n $name && $name != "$newest" && $name != "$newest_verified" ]] || continue
        # The manifest first: what has none is not a backup.
        remote deletefile -- "$DESTINATION/$name" &&
            remote deletefile -- "$DESTINATION/$(jq --raw-output .object.name "manifests-$kind/$name")" &&
            log "removed ${name%.json} from the destination, which no rule keeps"
    done <<<"$expired"
}

# Total and free bytes, for destinations that tell. The others fail, which means nothing.
space_of_destination() {
    rclone about --json --low-level-retries 1 --contimeout 15s --timeout 15s "$DESTINATION" 2>/dev/null | jq --raw-output 'select(.total and .free) | "\(.total) \(.free)"'
}

# find_at_destination KIND STAMP: sets artifact_name to a backup that is there; an empty stamp means the newest. Copies its
# manifest into the current directory.
find_at_destination() {
    local kind=$1 stamp=$2 manifest
    list_destination "$kind" || return 1
    [[ -z $stamp ]] || sed --in-place "/^$kind-$stamp\\.json\$/!d" there
    manifest=$(tail -n 1 there)
    [[ -n $manifest ]] && remote copyto -- "$DESTINATION/$manifest" "$manifest" &&
        artifact_name=$(jq --raw-output .object.name "$manifest")
}
