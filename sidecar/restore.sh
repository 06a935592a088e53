#!/usr/bin/env bash
# Restores backups made by backup.sh. Exit status: 0 done, 1 failed, 2 an argument or a setting is wrong, or a target
# exists.

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=offsite.sh
source "$(dirname "${BASH_SOURCE[0]}")/offsite.sh"

USAGE='usage: restore.sh [--from-destination] [--stamp STAMP] [--force] [--sqlite-to FILE] [--mysql] [--config-to DIRECTORY]
       restore.sh [--from-destination] --list

  --sqlite-to FILE        restore the SQLite database as FILE
  --mysql                 restore into MYSQL_DATABASE on MYSQL_HOST; takes the same MYSQL_ settings as the backup
  --config-to DIRECTORY   restore configuration files below DIRECTORY; / restores them to their original paths
  --stamp STAMP           restore the backup with this stamp (in its name, between kind and suffix); default: newest
  --force                 overwrite existing files and databases
  --from-destination      take the backup from DESTINATION instead of BACKUP_DIR (default /backups)
  --list                  list the backups

AGE_IDENTITY_FILE names the secret key for backups that are encrypted. Stop the application first.'

work_directory=""
artifact_directory=""
temporary_member=""

argument_error() {
    printf 'error: %s\n%s\n' "$1" "$USAGE" >&2
    exit "$EXIT_BAD_SETTING"
}

parse_arguments() {
    sqlite_target="" config_target="" stamp="" force=no with_mysql=no list=no from_destination=no
    while (($# > 0)); do
        case $1 in
            --sqlite-to | --config-to | --stamp) [[ -n ${2:-} ]] || argument_error "$1 needs a value" ;;&
            --sqlite-to) sqlite_target=$2 && shift ;;
            --config-to) config_target=$2 && shift ;;
            --stamp) stamp=$2 && shift ;;
            --mysql) with_mysql=yes ;;
            --force) force=yes ;;
            --from-destination) from_destination=yes ;;
            --list) list=yes ;;
            --help) echo "$USAGE" && exit 0 ;;
            *) argument_error "unknown argument $1" ;;
        esac
        shift
    done
    [[ -z $stamp || $stamp =~ ^$STAMP_PATTERN$ ]] || argument_error "--stamp $stamp is invalid; --list shows them"
    [[ -n $sqlite_target$config_target || $with_mysql$list != nono ]] || argument_error "choose what to restore"
}

# Finds the chosen or the newest artifact of a kind, and sets artifact_name. Nothing is changed yet.
find_artifact() {
    local kind=$1 chosen=${stamp:+ $stamp}
    if [[ $from_destination == yes ]]; then
        make_artifact_directory "${TMPDIR:-/tmp}" && pushd "$artifact_directory" >/dev/null || exit "$EXIT_FAILED"
        find_at_destination "$kind" "$stamp" || refuse "there is no $kind backup$chosen at $DESTINATION, or it cannot be read"
        popd >/dev/null || exit "$EXIT_FAILED"
        remove_temporary_files
    else
        artifact_name=$(list_artifacts "$kind" | { [[ -z $stamp ]] && cat || grep --fixed-strings -- "-$stamp."; } | tail -n 1)
        [[ -n $artifact_name ]] || refuse "there is no $kind backup$chosen in $BACKUP_DIR"
    fi
    [[ $artifact_name != *.age ]] || require_identity
}

require_identity() {
    require_tool age
    [[ -f $AGE_IDENTITY_FILE && -r $AGE_IDENTITY_FILE ]] || setting_error AGE_IDENTITY_FILE "$AGE_IDENTITY_FILE" \
        "name a readable file with the secret key: $artifact_name is encrypted"
}

# choose_artifact KIND PARENT: sets artifact to a file that tar or zstd can read. What is fetched or decrypted for that
# lies below PARENT.
choose_artifact() {
    local kind=$1 parent=$2 manifest
    find_artifact "$kind"
    make_artifact_directory "$parent" || return 1
    artifact=$BACKUP_DIR/$artifact_name manifest=$BACKUP_DIR/$(manifest_of "$artifact_name")
    if [[ $from_destination == yes ]]; then
        log "fetching $artifact_name from $DESTINATION"
        artifact=$artifact_directory/$artifact_name manifest=$artifact_directory/$(manifest_of "$artifact_name")
        remote copyto -- "$DESTINATION/$(manifest_of "$artifact_name")" "$manifest" &&
            remote copyto -- "$DESTINATION/$artifact_name" "$artifact" || return 1
    fi
    log "restoring $artifact"
    [[ ! -s $manifest ]] || is_as_in_manifest "$artifact" "$manifest" || return 1
    [[ $artifact == *.age ]] || return 0
    run_tool age --decrypt --identity "$AGE_IDENTITY_FILE" --output "$artifact_directory/decrypted" "$artifact" || return 1
    artifact=$artifact_directory/decrypted
}

is_as_in_manifest() {
    local digest
    require_tool jq
    require_tool b3sum
    run_tool b3sum --no-names -- "$1" >"$artifact_directory/digest" && digest=$(<"$artifact_directory/digest") || return 1
    [[ $digest == "$(jq --raw-output .object.blake3 "$2")" ]] && return 0
    log "$1 is not the file that its manifest describes: it is damaged or was replaced"
    return 1
}

make_artifact_directory() {
    artifact_directory=$(mktemp --directory "$1/.backup-sidecar-artifact.XXXXXXXXXX")
}

# Validates everything before anything is changed.
validate() {
    BACKUP_DIR=${BACKUP_DIR:-/backups}
    AGE_IDENTITY_FILE=${AGE_IDENTITY_FILE:-}
    default_offsite_settings
    if [[ $from_destination == yes ]]; then
        [[ -n $DESTINATION ]] || setting_error DESTINATION "" "name the destination to restore from"
        validate_destination
        require_tool jq
    else
        validate_backup_directory
    fi
    require_tool zstd
    require_tool tar
    if [[ -n $sqlite_target ]]; then
        require_tool sqlite3
        require_absolute_path --sqlite-to "$sqlite_target"
        [[ -d $(dirname -- "$sqlite_target") ]] || argument_error "create the directory of $sqlite_target first"
        [[ ! -d $sqlite_target && ! -L $sqlite_target ]] || argument_error "$sqlite_target is a directory or a link"
        refuse_existing "$sqlite_target" "$sqlite_target-wal" "$sqlite_target-journal"
        find_artifact sqlite
    fi
    if [[ -n $config_target ]]; then
        require_absolute_path --config-to "$config_target"
        [[ -d $config_target ]] || argument_error "create the directory $config_target first"
        find_artifact config
    fi
    if [[ $with_mysql == yes ]]; then
        default_mysql_settings
        [[ -n $MYSQL_HOST ]] || setting_error MYSQL_HOST "" "name the server to restore into"
        validate_mysql_settings
        require_tool mysql
        find_artifact mysql
    fi
}

refuse() {
    printf 'error: %s\n' "$1" >&2
    exit "$EXIT_BAD_SETTING"
}

refuse_existing() {
    local path
    [[ $force == no ]] || return 0
    for path in "$@"; do
        [[ ! -e $path && ! -L $path ]] || refuse "$path exists; --force overwrites it"
    done
}

# Next to the target, so that the last step is a rename. Not accessible to others, because the modes of files in it may
# be more permissive than those of the directories that protect the target.
make_work_directory() {
    work_directory=$(mktemp --directory "$1/.backup-sidecar-restore.XXXXXXXXXX")
}

remove_temporary_files() {
    remove_option_file
    [[ -z $temporary_member ]] || rm -f -- "$temporary_member"
    temporary_member=""
    [[ -z $work_directory ]] || rm -rf -- "$work_directory"
    work_directory=""
    [[ -z $artifact_directory ]] || rm -rf -- "$artifact_directory"
    artifact_directory=""
}

# Only root can change the owner of files. Any other user would silently become the owner of every file.
refuse_foreign_owners() {
    ((EUID != 0)) || return 0
    local owners
    owners=$(tar --list --verbose --zstd --numeric-owner --file="$artifact" | awk '{print $2}' | sort -u) || return 1
    [[ $owners == "$(id -u)/$(id -g)" ]] ||
        refuse "$artifact has files of other owners ($(tr '\n' ' ' <<<"$owners")): restore it as root"
}

extract() {
    refuse_foreign_owners || return 1
    run_tool tar --extract --zstd --file="$artifact" --directory="$work_directory" --numeric-owner --same-owner \
        --preserve-permissions --acls --delay-directory-restore
}

# The permissions that both modes grant: never more than in the backup, nor than those of the existing file. If there is
# an access control list, the group bits are its mask, and the group itself may have fewer.
tightest_mode() {
    local backed_up=$1 existing=$2 mode
    mode=$((8#$(stat --format=%a -- "$backed_up") & 8#$(stat --format=%a -- "$existing")))
    [[ $(LC_ALL=C ls -ld -- "$backed_up") != ??????????+* ]] || mode=$((mode & ~8#070))
    printf '%o' "$mode"
}

tighten_to_existing() {
    local restored=$1 existing=$2
    [[ -f $existing && ! -L $existing && ! -L $restored ]] || return 0
    chmod -- "$(tightest_mode "$restored" "$existing")" "$restored"
}

restore_sqlite() {
    choose_artifact sqlite "$(dirname -- "$sqlite_target")" || return 1
    make_work_directory "$(dirname -- "$sqlite_target")" && extract || return 1
    local database=$work_directory/database.db dump=$work_directory/database.sql verdict
    if [[ -f $dump ]]; then
        is_complete_sqlite_dump "$dump" || return 1
        run_tool sqlite3 -batch -bail "$database" <"$dump" >&2 || return 1
        chown --reference="$dump" -- "$database" && chmod --reference="$dump" -- "$database" || return 1
    fi
    run_tool sqlite3 -batch -readonly "file:$database?immutable=1" 'PRAGMA integrity_check' >"$work_directory/verdict"
    verdict=$(<"$work_directory/verdict")
    if [[ $verdict != ok ]]; then
        log "the restored database is damaged: ${verdict:0:500}"
        return 1
    fi
    tighten_to_existing "$database" "$sqlite_target" && sync -- "$database" || return 1
    replace_database "$database" && sync -- "$(dirname -- "$sqlite_target")"
}

# SQLite would apply the WAL or journal of the replaced database to the restored one, and the replaced database would be
# damaged without them. So all its files are moved aside, and moved back if the restored database cannot be put in
# place.
replace_database() {
    local restored=$1 aside=$work_directory/replaced suffix status=0
    mkdir -- "$aside" || return 1
    # A signal between these steps would leave an incomplete state.
    trap '' TERM INT HUP
    for suffix in "" -wal -shm -journal; do
        [[ ! -e $sqlite_target$suffix ]] || mv --no-target-directory -- "$sqlite_target$suffix" "$aside/database$suffix" ||
            status=1
    done
    ((status == 0)) && mv --no-target-directory -- "$restored" "$sqlite_target" || status=1
    if ((status != 0)); then
        for suffix in "" -wal -shm -journal; do
            [[ ! -e $aside/database$suffix ]] ||
                mv --no-target-directory -- "$aside/database$suffix" "$sqlite_target$suffix"
        done
    fi
    install_traps
    return "$status"
}

# Checks every member before the first is moved: after an error, nothing has changed.
refuse_configuration_conflicts() {
    local member target
    for member in "$@"; do
        target=${config_target%/}/$member
        if is_directory "$work_directory/$member"; then
            [[ ! -L $target ]] || refuse "$target is a symbolic link, but a directory in the backup"
            [[ -d $target || ! -e $target ]] || refuse "$target is a file, but a directory in the backup"
        else
            [[ -L $target || ! -d $target ]] || refuse "$target is a directory, but a file in the backup"
            refuse_existing "$target"
        fi
    done
}

is_directory() {
    [[ -d $1 && ! -L $1 ]]
}

# A new directory is accessible only to its owner until its content is in place; an existing one gets its final mode
# first.
open_directory() {
    local target=${config_target%/}/$1 mode=$2
    if [[ -d $target ]]; then
        chmod -- "$(printf '00%o' $((8#$mode | 8#700)))" "$target"
    else
        mkdir --mode=0700 -- "$target"
    fi
}

# Copies the file next to its target first, because the target may be on another file system: the last step is a rename.
place_file() {
    local source=$work_directory/$1 target=${config_target%/}/$1
    tighten_to_existing "$source" "$target" || return 1
    temporary_member=$(dirname -- "$target")/.backup-sidecar-restore.$$
    cp --archive --no-target-directory -- "$source" "$temporary_member" || return 1
    [[ ! -f $temporary_member || -L $temporary_member ]] || sync -- "$temporary_member" || return 1
    mv --force --no-target-directory -- "$temporary_member" "$target" || return 1
    temporary_member=""
}

# An existing directory keeps its owner, except with --force, and its access control list.
finish_directory() {
    local source=$work_directory/$1 target=${config_target%/}/$1 mode=$2 existed=$3
    if [[ $existed == no ]]; then
        # Sets its owner, mode and access control list, without touching its content.
        tar --create --no-recursion --acls --numeric-owner --directory="$work_directory" --file=- -- "$1" |
            tar --extract --acls --numeric-owner --same-owner --preserve-permissions --directory="$config_target" --file=- ||
            return 1
    else
        if [[ $force == yes ]]; then
            chown --reference="$source" -- "$target" || return 1
        fi
        # The leading zeros make chmod clear the set-group-ID bit of a directory, too.
        chmod -- "00$mode" "$target" || return 1
    fi
    sync -- "$target"
}

restore_configuration() {
    choose_artifact config "${TMPDIR:-/tmp}" || return 1
    make_work_directory "$config_target" && extract || return 1
    local member target index members=() directories=() modes=() existed=()
    mapfile -d '' -t members < <(cd "$work_directory" && find . -mindepth 1 -printf '%P\0')
    refuse_configuration_conflicts "${members[@]}"
    for member in "${members[@]}"; do
        if ! is_directory "$work_directory/$member"; then
            place_file "$member" || return 1
            continue
        fi
        target=${config_target%/}/$member
        directories+=("$member")
        if [[ -d $target ]]; then
            existed+=(yes) modes+=("$(tightest_mode "$work_directory/$member" "$target")")
        else
            existed+=(no) modes+=(700)
        fi
        open_directory "$member" "${modes[-1]}" || return 1
    done
    for ((index = ${#directories[@]} - 1; index >= 0; index--)); do
        finish_directory "${directories[index]}" "${modes[index]}" "${existed[index]}" || return 1
    done
    sync -- "$config_target"
}

mysql_client() {
    run_tool mysql --defaults-file="$option_file" --batch --skip-column-names "$@"
}

prepare_mysql_database() {
    local name=$MYSQL_DATABASE facts tables character_set collation
    mysql_client --execute="SELECT (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '$name'),
        default_character_set_name, default_collation_name
        FROM information_schema.schemata WHERE schema_name = '$name'" >"$work_directory/facts" || return 1
    facts=$(<"$work_directory/facts")
    if [[ -z $facts ]]; then
        mysql_client --execute="CREATE DATABASE \`$name\`"
        return
    fi
    read -r tables character_set collation <<<"$facts"
    ((tables > 0)) || return 0
    [[ $force == yes ]] || refuse "database $name on $MYSQL_HOST has $tables tables; --force drops it first"
    mysql_client --execute="DROP DATABASE \`$name\`;
        CREATE DATABASE \`$name\` CHARACTER SET $character_set COLLATE $collation"
}

# The dump is decompressed and checked for completeness before anything is changed on the server.
restore_mysql() {
    choose_artifact mysql "${TMPDIR:-/tmp}" || return 1
    make_work_directory "${TMPDIR:-/tmp}" || return 1
    run_tool zstd --quiet --decompress -o "$work_directory/dump.sql" "$artifact" || return 1
    is_complete_mysql_dump "$work_directory/dump.sql" || return 1
    write_option_file && prepare_mysql_database || return 1
    mysql_client --binary-mode "$MYSQL_DATABASE" <"$work_directory/dump.sql"
}

restore_part() {
    if "$1"; then
        remove_temporary_files
        log "done"
    else
        log "failed: $1"
        exit "$EXIT_FAILED"
    fi
}

list_backups() {
    local kind
    if [[ $from_destination == yes ]]; then
        make_artifact_directory "${TMPDIR:-/tmp}" && cd "$artifact_directory" || return 1
    fi
    for kind in "${KINDS[@]}"; do
        if [[ $from_destination == no ]]; then
            list_artifacts "$kind"
        elif list_destination "$kind"; then
            sed 's/\.json$//' there
        else
            return 1
        fi
    done
}

main() {
    set -u -o pipefail
    umask 077
    parse_arguments "$@"
    install_traps
    validate
    if [[ $list == yes ]]; then
        list_backups
        return
    fi
    [[ -z $sqlite_target ]] || restore_part restore_sqlite
    [[ $with_mysql == no ]] || restore_part restore_mysql
    [[ -z $config_target ]] || restore_part restore_configuration
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
