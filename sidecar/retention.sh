# shellcheck shell=bash
# Which backups are kept. backup.sh sources this file. A backup is kept if any rule keeps it: it is young enough, it is
# among the last ones, or it is the newest of a day, week or month that counts. Whatever the rules say, the newest good
# and the newest verified backup of each kind are kept.

default_retention_settings() {
    RETENTION_DAYS=${RETENTION_DAYS:-7}
    KEEP_LAST=${KEEP_LAST:-0}
    KEEP_DAILY=${KEEP_DAILY:-0}
    KEEP_WEEKLY=${KEEP_WEEKLY:-0}
    KEEP_MONTHLY=${KEEP_MONTHLY:-0}
}

validate_retention_settings() {
    require_whole_number RETENTION_DAYS "$RETENTION_DAYS" 36500 "days to keep a backup"
    require_whole_number_or_zero KEEP_LAST "$KEEP_LAST" 100000 "the number of last backups to keep"
    require_whole_number_or_zero KEEP_DAILY "$KEEP_DAILY" 100000 "the number of days to keep a backup of"
    require_whole_number_or_zero KEEP_WEEKLY "$KEEP_WEEKLY" 10000 "the number of weeks to keep a backup of"
    require_whole_number_or_zero KEEP_MONTHLY "$KEEP_MONTHLY" 1000 "the number of months to keep a backup of"
}

# is_newest_of ARRAY PERIOD NUMBER: whether this is the first backup seen of its period, and its period is among the
# first NUMBER ones. Backups come newest first.
is_newest_of() {
    local -n seen=$1
    [[ -z ${seen[$2]:-} ]] && ((${#seen[@]} < $3)) || return 1
    seen[$2]=yes
}

# Reads names of artifacts, newest first. Prints those that no rule keeps. Age is taken from the stamp in the name: a
# copied file may have another time.
choose_expired() {
    local name stamp oldest number=0 is_kept
    # shellcheck disable=SC2034 # Used by reference.
    local -A days=() weeks=() months=()
    oldest=$(date -u -d "$RETENTION_DAYS days ago" +%Y%m%dT%H%M%S.%NZ)
    while read -r name; do
        stamp=$(stamp_of "$name")
        is_kept=no
        # Every rule sees every backup, because each counts its own periods.
        if ((++number <= KEEP_LAST)) || [[ $stamp > $oldest ]]; then is_kept=yes; fi
        if is_newest_of days "${stamp:0:8}" "$KEEP_DAILY"; then is_kept=yes; fi
        if is_newest_of weeks "$(date -u -d "${stamp:0:8}" +%GW%V)" "$KEEP_WEEKLY"; then is_kept=yes; fi
        if is_newest_of months "${stamp:0:6}" "$KEEP_MONTHLY"; then is_kept=yes; fi
        [[ $is_kept == yes ]] || printf '%s\n' "$name"
    done
}

# Whether a file is what its manifest says, or without a manifest, and not encrypted, whether it can be decompressed.
is_good() {
    local name=$1 manifest
    manifest=$BACKUP_DIR/$(manifest_of "$name")
    if [[ -s $manifest ]]; then
        run_tool b3sum --no-names -- "$BACKUP_DIR/$name" >digest &&
            [[ $(<digest) == "$(jq --raw-output .object.blake3 "$manifest")" ]]
    else
        [[ $name == *.zst ]] && run_tool zstd --quiet --test "$BACKUP_DIR/$name"
    fi
}

# Finds the newest artifact that is still intact: because of one that a failing disk has damaged, no good one may be
# removed. The result is in newest_good: with a command substitution, a signal would be handled only after the test.
find_newest_good() {
    local kind=$1
    while read -r newest_good; do
        is_good "$newest_good" && return 0
        log "warning: $newest_good is damaged"
    done < <(list_artifacts "$kind" | tac)
    return 1
}

remove_expired() {
    local kind=$1 expired name newest_verified
    expired=$(list_artifacts "$kind" | tac | choose_expired)
    [[ -n $expired ]] || return 0
    find_newest_good "$kind" || return 0
    newest_verified=$(list_verified "$kind" | tail -n 1)
    while read -r name; do
        [[ $name != "$newest_good" && $(manifest_of "$name") != "$newest_verified" ]] || continue
        # The manifest last: while it exists, the removal can be repeated.
        rm -- "$BACKUP_DIR/$name" && rm -f -- "$BACKUP_DIR/$(manifest_of "$name")" &&
            log "removed $name, which no rule keeps"
    done <<<"$expired"
}

remove_all_expired() {
    local kind
    for kind in "${KINDS[@]}"; do
        remove_expired "$kind"
        [[ -z $DESTINATION ]] || remove_expired_at_destination "$kind"
    done
}
