#!/usr/bin/env bash
# Backs up the databases and configuration files of an application that runs beside this container and whose data is
# mounted here read-only. README.md lists the settings. Exit status: 0 done, 1 a backup failed, 2 a setting is wrong,
# 3 another backup is running, 143 ended by SIGTERM.

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=live-copy.sh
source "$(dirname "${BASH_SOURCE[0]}")/live-copy.sh"
# shellcheck source=alerts.sh
source "$(dirname "${BASH_SOURCE[0]}")/alerts.sh"
# shellcheck source=catalogue.sh
source "$(dirname "${BASH_SOURCE[0]}")/catalogue.sh"
# shellcheck source=offsite.sh
source "$(dirname "${BASH_SOURCE[0]}")/offsite.sh"
# shellcheck source=retention.sh
source "$(dirname "${BASH_SOURCE[0]}")/retention.sh"
# shellcheck source=verify.sh
source "$(dirname "${BASH_SOURCE[0]}")/verify.sh"

SQLITE_BUSY_TIMEOUT_MILLISECONDS=10000
MAPPED_BYTES_MAX=1099511627776

work_directory=""
parts=()
configuration_paths=()
sqlite_mode=""
sqlite_source=""

default_settings() {
    BACKUP_ATTEMPTS=${BACKUP_ATTEMPTS:-3}
    BACKUP_DIR=${BACKUP_DIR:-/backups}
    BACKUP_INTERVAL=${BACKUP_INTERVAL:-86400}
    BACKUP_MODE=${BACKUP_MODE:-loop}
    BACKUP_PATHS=${BACKUP_PATHS:-}
    RETRY_SECONDS=${RETRY_SECONDS:-10}
    SQLITE_DATABASE=${SQLITE_DATABASE:-}
    SQLITE_MODE=${SQLITE_MODE:-auto}
    default_mysql_settings
    default_alert_settings
    default_offsite_settings
    default_retention_settings
    default_verification_settings
}

validate_settings() {
    default_settings
    require_one_of BACKUP_MODE "$BACKUP_MODE" loop single
    require_whole_number BACKUP_INTERVAL "$BACKUP_INTERVAL" 31536000 "seconds between backups"
    require_whole_number BACKUP_ATTEMPTS "$BACKUP_ATTEMPTS" 100 "attempts for each backup"
    require_whole_number RETRY_SECONDS "$RETRY_SECONDS" 86400 "seconds before the second attempt"
    require_one_of SQLITE_MODE "$SQLITE_MODE" auto backup copy dump
    if [[ -z $SQLITE_DATABASE$MYSQL_HOST$BACKUP_PATHS ]]; then
        setting_error SQLITE_DATABASE "" "set it, MYSQL_HOST or BACKUP_PATHS: there is nothing to back up"
    fi
    validate_backup_directory
    [[ -w $BACKUP_DIR ]] || setting_error BACKUP_DIR "$BACKUP_DIR" "make it writable: backups are stored there"
    local tool
    for tool in b3sum flock jq mountpoint tar zstd; do
        require_tool "$tool"
    done
    [[ -z $SQLITE_DATABASE ]] || validate_sqlite_settings
    if [[ -n $MYSQL_HOST ]]; then
        validate_mysql_settings
        require_tool mysqldump
    else
        reject_mysql_settings_without_host
    fi
    [[ -z $BACKUP_PATHS ]] || validate_configuration_paths
    validate_alert_settings
    validate_offsite_settings
    validate_retention_settings
    validate_verification_settings
}

validate_sqlite_settings() {
    require_absolute_path SQLITE_DATABASE "$SQLITE_DATABASE"
    require_tool sqlite3
    [[ -f $SQLITE_DATABASE && -r $SQLITE_DATABASE ]] ||
        setting_error SQLITE_DATABASE "$SQLITE_DATABASE" "name an existing, readable database file"
    # SQLite keeps its journal and WAL beside the real file, and a link has its own mode and times.
    [[ ! -L $SQLITE_DATABASE ]] ||
        setting_error SQLITE_DATABASE "$SQLITE_DATABASE" "name it by its real path, $(realpath -- "$SQLITE_DATABASE")"
    # If only the file is mounted, its journal or WAL is missing: a backup could silently lose or tear transactions.
    ! mountpoint --quiet "$(realpath -- "$SQLITE_DATABASE")" ||
        setting_error SQLITE_DATABASE "$SQLITE_DATABASE" "mount the directory it is in, not the file alone"
}

# A user who sets a database but no host expects that it is backed up.
reject_mysql_settings_without_host() {
    local variable
    for variable in MYSQL_DATABASE MYSQL_USER; do
        [[ -z ${!variable} ]] || setting_error MYSQL_HOST "" "set it, or unset $variable"
    done
}

is_comment_or_blank() {
    [[ $1 =~ ^[[:space:]]*(#|$) ]]
}

without_surrounding_blanks() {
    local text=$1
    text=${text#"${text%%[![:space:]]*}"}
    printf '%s' "${text%"${text##*[![:space:]]}"}"
}

# Fills configuration_paths from the file that BACKUP_PATHS names.
read_configuration_paths() {
    configuration_paths=()
    local line
    while IFS= read -r line || [[ -n $line ]]; do
        is_comment_or_blank "$line" && continue
        configuration_paths+=("$(without_surrounding_blanks "$line")")
    done <"$BACKUP_PATHS"
}

validate_configuration_paths() {
    require_absolute_path BACKUP_PATHS "$BACKUP_PATHS"
    [[ -f $BACKUP_PATHS && -r $BACKUP_PATHS ]] ||
        setting_error BACKUP_PATHS "$BACKUP_PATHS" "name a file that lists one path a line"
    read_configuration_paths
    ((${#configuration_paths[@]} > 0)) ||
        setting_error BACKUP_PATHS "$BACKUP_PATHS" "list at least one path in it, or unset it"
    local path parent
    for path in "${configuration_paths[@]}"; do
        require_absolute_path "BACKUP_PATHS ($BACKUP_PATHS)" "$path"
        [[ -e $path || -L $path ]] ||
            setting_error "BACKUP_PATHS ($BACKUP_PATHS)" "$path" "list only existing paths"
        parent=$(dirname -- "$path")
        # A restore creates real directories; it must never follow links out of its target directory.
        [[ $(realpath -- "$parent") == "$parent" ]] ||
            setting_error "BACKUP_PATHS ($BACKUP_PATHS)" "$path" "list it by its real path, $(realpath -- "$path")"
        [[ $(realpath -- "$BACKUP_DIR")/ != "${path%/}"/* ]] ||
            setting_error "BACKUP_PATHS ($BACKUP_PATHS)" "$path" "leave out the backups themselves ($BACKUP_DIR)"
        reject_path_of_database "$path"
    done
}

# A live database that is copied as a file may be torn; and this copy would be restored over the good one.
reject_path_of_database() {
    local path=$1 database suffix
    [[ -n $SQLITE_DATABASE ]] || return 0
    database=$(realpath -- "$SQLITE_DATABASE")
    for suffix in "" -wal -shm -journal; do
        [[ $database$suffix/ != "${path%/}"/* ]] ||
            setting_error "BACKUP_PATHS ($BACKUP_PATHS)" "$path" "leave out the database ($SQLITE_DATABASE)"
    done
}

remove_temporary_files() {
    remove_option_file
    [[ -z $work_directory ]] || rm -rf -- "$work_directory"
    work_directory=""
}

# The lock is held for one cycle: between the cycles of a loop, a single backup can be made manually.
take_lock() {
    exec {lock_descriptor}>"$BACKUP_DIR/.backup-sidecar.lock" || return "$EXIT_FAILED"
    if ! flock --nonblock "$lock_descriptor"; then
        release_lock
        log "refused: another backup into $BACKUP_DIR is running"
        return "$EXIT_OVERLAPPING"
    fi
}

release_lock() {
    exec {lock_descriptor}>&-
    lock_descriptor=""
}

# Only called with the lock held, so an existing directory was left by a run that was killed.
make_work_directory() {
    work_directory=$BACKUP_DIR/.backup-sidecar-partial
    rm -rf -- "$work_directory" && mkdir -- "$work_directory"
}

# store KIND STAMP TEMPORARY MODE SOURCE: gives a complete artifact its name and its manifest. The manifest is written
# last, so it never describes an artifact that is not there.
store() {
    local kind=$1 stamp=$2 temporary=$3 mode=$4 source=$5 name
    name=$kind-$stamp.$(artifact_suffix "$kind")
    verify_if_due "$kind" "$temporary" || return 1
    if is_encrypted; then
        encrypt "$temporary" || return 1
        temporary=$temporary.age name=$name.age
    fi
    write_manifest "$kind" "$stamp" "$temporary" "$name" "$mode" "$source" >manifest.partial || return 1
    publish "$temporary" "$name" && publish manifest.partial "$(manifest_of "$name")"
}

# Gives a complete file its name, and returns only when it is durable, so that a power failure cannot lose it.
publish() {
    local temporary=$1 name=$2
    if [[ ! -s $temporary || -e $BACKUP_DIR/$name ]]; then
        log "failed: $name would be empty, or exists already"
        return 1
    fi
    sync -- "$temporary" && mv --no-target-directory -- "$temporary" "$BACKUP_DIR/$name" && sync -- "$BACKUP_DIR" &&
        log "stored $name ($(stat --format=%s -- "$BACKUP_DIR/$name") bytes)"
}

sqlite_reader() {
    run_tool sqlite3 -batch -bail -readonly -cmd ".timeout $SQLITE_BUSY_TIMEOUT_MILLISECONDS" "$sqlite_source" "$@"
}

# 1: a rollback-journal mode; 2: WAL mode.
sqlite_read_version() {
    od --address-radix=n --format=u1 --skip-bytes=19 --read-bytes=1 -- "$SQLITE_DATABASE" 2>/dev/null
}

# In WAL mode, a live database can be copied at the speed of a plain copy while writers continue. In the other modes
# they would wait for the whole copy.
choose_sqlite_mode() {
    sqlite_mode=$SQLITE_MODE
    [[ $SQLITE_MODE == auto ]] || return 0
    sqlite_mode=backup
    [[ $(sqlite_read_version) -ne 2 ]] || sqlite_mode=copy
}

# Opening a database in WAL mode creates two files beside it, and the last connection to close it removes them. Without
# them, no process has it open, and all data is in the database file.
is_closed_wal_database() {
    local read_version
    read_version=$(sqlite_read_version) || return 1
    ((read_version == 2)) && [[ ! -e $SQLITE_DATABASE-wal && ! -e $SQLITE_DATABASE-shm ]]
}

immutable_address() {
    local path=$SQLITE_DATABASE
    path=${path//\%/%25}
    path=${path//\?/%3f}
    path=${path//\#/%23}
    printf 'file:%s?immutable=1' "$path"
}

state_of_database() {
    stat --format='%i %s %.Y %.Z' -- "$SQLITE_DATABASE"
}

# A truncated copy has fewer pages than its header states. A file may be longer: SQLite ignores the rest.
has_all_pages() {
    local file=$1 expected
    [[ -s $file ]] || return 1
    expected=$(sqlite3 "file:$file?immutable=1" \
        'SELECT page_count * page_size FROM pragma_page_count, pragma_page_size') || return 1
    (($(stat --format=%s -- "$file") >= expected))
}

is_sound() {
    local verdict
    "$@" >verdict || return 1
    verdict=$(<verdict)
    [[ $verdict == ok ]] && return 0
    log "failed: the database is damaged: ${verdict:0:500}"
    return 1
}

# The copy may be mapped into memory, which makes its check fast; the database itself may not, because the application
# can truncate it.
is_sound_copy() {
    has_all_pages database.db &&
        is_sound run_tool sqlite3 -batch -cmd '.output /dev/null' -cmd "PRAGMA mmap_size = $MAPPED_BYTES_MAX" \
            -cmd .output 'file:database.db?immutable=1' 'PRAGMA quick_check'
}

# The database is checked for damage in every mode, because none detects it: `.backup` and a copy of the files copy
# damage, and the `.dump` of SQLite 3.53 omits the rows behind it, but still ends with COMMIT and exit status 0. Backups
# of a damaged database would displace the good ones.
copy_sqlite() {
    case $sqlite_mode in
        backup) sqlite_reader '.backup database.db' >&2 && is_sound_copy ;;
        copy) copy_live && is_sound_copy ;;
        dump)
            is_sound sqlite_reader 'PRAGMA quick_check' && sqlite_reader .dump >database.sql &&
                is_complete_sqlite_dump database.sql
            ;;
    esac
}

# To read a closed database in WAL mode, SQLite would create the two files, which a read-only mount does not allow. With
# `immutable` it is read without them and without any lock, so an application that starts meanwhile could tear the copy:
# the copy is accepted only if the database is closed afterwards, too, and its file is unchanged.
read_sqlite() {
    local before
    if [[ ! -s $SQLITE_DATABASE || -L $SQLITE_DATABASE ]]; then
        log "failed: $SQLITE_DATABASE is missing, empty or a symbolic link"
        return 1
    fi
    if ! is_closed_wal_database; then
        sqlite_source=$SQLITE_DATABASE
        copy_sqlite
        return
    fi
    before=$(state_of_database) || return 1
    sqlite_source=$(immutable_address)
    copy_sqlite || return 1
    if ! is_closed_wal_database || [[ $(state_of_database) != "$before" ]]; then
        log "failed: $SQLITE_DATABASE was opened while it was read without locks; try again"
        return 1
    fi
}

# A tar archive of one file, because it stores the owner and the mode of the database for the restore.
back_up_sqlite() {
    local stamp=$1 content=database.db
    choose_sqlite_mode
    [[ $sqlite_mode == dump ]] && content=database.sql
    count_source_before sqlite || return 1
    if ! read_sqlite; then
        log "failed: $SQLITE_DATABASE could not be copied completely. From a read-only mount, a database with a -wal" \
            "file can be read only while its -shm file exists, and one with an interrupted transaction only after" \
            "that was rolled back: start the application"
        return 1
    fi
    local owner group mode
    read -r owner group mode < <(stat --format='%u %g %a' -- "$SQLITE_DATABASE") || return 1
    count_source_after sqlite && list_files "$content" || return 1
    run_tool tar --create --zstd --file=sqlite.partial --numeric-owner --owner=":$owner" --group=":$group" \
        --mode="$mode" -- "$content" && store sqlite "$stamp" sqlite.partial "$sqlite_mode" "$SQLITE_DATABASE"
}

# Fills mysqldump_options. MariaDB's mysqldump does not have the option --set-gtid-purged, and does not need it.
choose_mysqldump_options() {
    local help
    mysqldump_options=(--single-transaction --quick --routines --events --triggers --hex-blob --comments
        --no-tablespaces)
    # Read completely before it is searched: if the search closed the pipe early, mysqldump would fail.
    help=$(mysqldump --no-defaults --help 2>/dev/null)
    if [[ $help == *--set-gtid-purged* ]]; then
        # A dump that contains transaction identifiers (GTIDs) cannot be restored into a server that already has them.
        mysqldump_options+=(--set-gtid-purged=OFF)
    fi
}

back_up_mysql() {
    local stamp=$1 status
    write_option_file && count_source_before mysql || return 1
    choose_mysqldump_options
    run_tool mysqldump --defaults-file="$option_file" "${mysqldump_options[@]}" "$MYSQL_DATABASE" >mysql.sql
    status=$?
    count_source_after mysql || return 1
    remove_option_file
    if ((status != 0)) || ! is_complete_mysql_dump mysql.sql; then
        log "failed: the dump of $MYSQL_DATABASE on $MYSQL_HOST is not complete (mysqldump exit status $status)"
        return 1
    fi
    list_files mysql.sql && run_tool zstd --quiet --rm -o mysql.partial mysql.sql &&
        store mysql "$stamp" mysql.partial mysqldump "$MYSQL_DATABASE on $MYSQL_HOST"
}

# Every listed path with everything below it, and the directories above them: without their modes, a restore would make a
# file accessible that was protected only by the mode of a directory. Directories go to the file `directories`, the rest
# to `contents`; both are in `members`.
list_configuration_members() {
    local path parent
    : >directories && : >contents || return 1
    for path in "${configuration_paths[@]}"; do
        parent=$(dirname -- "$path")
        while [[ $parent != / ]]; do
            printf '%s\0' "$parent" >>directories
            parent=$(dirname -- "$parent")
        done
        # Without the final slash, with which find would follow a symbolic link.
        find "${path%/}" -type d -fprint0 found -o -fprint0 found.contents &&
            cat found >>directories && cat found.contents >>contents || return 1
    done
    for path in directories contents; do
        sed --null-data 's,^/,,' "$path" | sort_members >found && mv -- found "$path" || return 1
    done
    cat directories contents | sort_members >members
}

sort_members() {
    LC_ALL=C sort --zero-terminated --unique
}

# archive_members OPERATION LIST: adds what is listed to the archive config.tar.
archive_members() {
    run_tool tar "$1" --file="$PWD/config.tar" --directory=/ --numeric-owner --acls --null --no-recursion \
        --verbatim-files-from --files-from="$PWD/$2"
}

# tar ends with 1 if something changed while it was read. For a file, that can be half of it. Of a directory, only the
# owner and the modes are archived, and something is created in a directory like /tmp or /var/lib at any time.
archive_configuration() {
    list_configuration_members || return 1
    archive_members --create directories || (($? == 1)) || return 1
    archive_members --append contents && run_tool zstd --quiet --rm -o config.partial config.tar
}

back_up_configuration() {
    local stamp=$1
    if ! archive_configuration; then
        log "failed: the paths listed in $BACKUP_PATHS could not be copied"
        return 1
    fi
    list_archived_files config.partial && store config "$stamp" config.partial tar "$BACKUP_PATHS"
}

# The parts that the settings ask for. Copying them to the destination is the last.
choose_parts() {
    parts=()
    [[ -z $SQLITE_DATABASE ]] || parts+=(back_up_sqlite)
    [[ -z $MYSQL_HOST ]] || parts+=(back_up_mysql)
    [[ -z $BACKUP_PATHS ]] || parts+=(back_up_configuration)
    [[ -z $DESTINATION ]] || parts+=(copy_to_destination)
}

# Every part is done even if another fails: a missing configuration file must not prevent the backup of the database.
# Leaves the parts that failed in parts.
do_parts() {
    local stamp=$1 part failed=()
    for part in "${parts[@]}"; do
        find . -mindepth 1 -delete
        "$part" "$stamp" || failed+=("$part")
    done
    parts=("${failed[@]}")
    ((${#parts[@]} == 0))
}

# Twice as long before each further attempt, and each time between half and one and a half of that at random, so that
# many sidecars do not come back to a server at the same moment. Fractions of a second for `sleep`.
pause_before_attempt() {
    local attempt=$1 milliseconds
    milliseconds=$((RETRY_SECONDS * 1000 << (attempt - 2 < 10 ? attempt - 2 : 10)))
    milliseconds=$((milliseconds / 2 + milliseconds * (RANDOM % 1000) / 1000))
    printf '%d.%03d' $((milliseconds / 1000)) $((milliseconds % 1000))
}

# Only what failed is tried again.
back_up_all() {
    local stamp attempt pause
    stamp=$(new_stamp)
    choose_parts
    for ((attempt = 1; ; attempt++)); do
        do_parts "$stamp" && return 0
        ((attempt < BACKUP_ATTEMPTS)) || return 1
        pause=$(pause_before_attempt $((attempt + 1)))
        log "attempt $attempt of $BACKUP_ATTEMPTS failed (${parts[*]}); the next one begins in $pause s"
        run_tool sleep "$pause"
    done
}

mark_failure() {
    printf 'The backup that began at %s failed (%s). See the log.\n' "$1" "${parts[*]}" >"$BACKUP_DIR/last-failure"
}

# 1. take the lock; 2. back up every part; 3. if all are stored, remove expired backups and the failure marker. After a
# failure nothing is removed: while backups fail, the old ones are the only ones. 4. Report, when the lock is released
# and the space is free again: a slow receiver of alerts must not delay anything.
run_cycle() {
    local began status=0 unmarked=no since
    since=$(uptime_seconds)
    began=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    parts=(take_lock)
    take_lock || {
        status=$?
        ((status == EXIT_OVERLAPPING)) || report_cycle "$status" 0
        return "$status"
    }
    parts=()
    ping_monitor /start
    make_work_directory && pushd "$work_directory" >/dev/null || status=1
    if ((status == 0)) && back_up_all; then
        remove_all_expired
        write_catalogue
        touch -- "$BACKUP_DIR/last-success"
        rm -f -- "$BACKUP_DIR/last-failure"
    else
        status=$EXIT_FAILED
        mark_failure "$began" || unmarked=yes
    fi
    cd / || return
    remove_temporary_files
    # If the disk was full, it has space again now.
    [[ $unmarked == no ]] || mark_failure "$began"
    release_lock
    report_cycle "$status" $(($(uptime_seconds) - since))
    return "$status"
}

# Starts each cycle a whole number of intervals after the first. A cycle that takes longer than the interval delays the
# next one to the following multiple.
run_loop() {
    local began
    began=$(uptime_seconds)
    start_watching
    while true; do
        run_cycle || log "will try again at the next interval"
        run_tool sleep $((BACKUP_INTERVAL - ($(uptime_seconds) - began) % BACKUP_INTERVAL))
    done
}

main() {
    set -u -o pipefail
    umask 077
    exec </dev/null
    validate_settings
    install_traps
    case $BACKUP_MODE in
        single) run_cycle ;;
        loop) run_loop ;;
    esac
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
