# shellcheck shell=bash
# shellcheck disable=SC2034 # The scripts that source this use its constants.
# Shared by backup.sh and restore.sh: messages, checks of settings, names of artifacts, tools that a signal can end, and
# the option file that keeps the MySQL password off command lines.

KINDS=(sqlite mysql config)

EXIT_FAILED=1
EXIT_BAD_SETTING=2
EXIT_OVERLAPPING=3

# Sub-second stamps, always of the same length and in UTC: sorting names sorts times.
STAMP_PATTERN='[0-9]{8}T[0-9]{6}\.[0-9]{9}Z'

# Empty means that there is nothing to release or remove: a signal may arrive at any time.
lock_descriptor=""
option_file_directory=""

log() {
    printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >&2
}

# Seconds since the machine started: unlike the clock, nobody sets it.
uptime_seconds() {
    local uptime rest
    read -r uptime rest </proc/uptime
    printf '%d' "${uptime%.*}"
}

# Prints one error that names the variable, its value and the remedy.
setting_error() {
    local variable=$1 value=$2 cure=$3
    printf 'error: %s is "%s": %s\n' "$variable" "$value" "$cure" >&2
    exit "$EXIT_BAD_SETTING"
}

require_one_of() {
    local variable=$1 value=$2
    shift 2
    local allowed
    for allowed in "$@"; do
        [[ $value == "$allowed" ]] && return 0
    done
    setting_error "$variable" "$value" "set it to one of: $*"
}

# Leading zeros are rejected: the shell would read 010 as eight.
require_whole_number() {
    local variable=$1 value=$2 maximum=$3 meaning=$4
    if [[ ! $value =~ ^[1-9][0-9]{0,8}$ ]] || ((value > maximum)); then
        setting_error "$variable" "$value" "set it to $meaning, a whole number from 1 to $maximum"
    fi
}

# As a whole number, but zero is allowed, and means: not at all.
require_whole_number_or_zero() {
    [[ $2 == 0 ]] || require_whole_number "$1" "$2" "$3" "$4, or 0"
}

require_absolute_path() {
    local variable=$1 value=$2
    [[ $value == /* ]] || setting_error "$variable" "$value" "give an absolute path"
    case $value/ in
        */../* | */./* | *$'\n'*) setting_error "$variable" "$value" "give a path without '.', '..' or line breaks" ;;
    esac
}

require_tool() {
    local tool=$1
    command -v "$tool" >/dev/null || setting_error PATH "$PATH" "install $tool, which these settings need"
}

validate_backup_directory() {
    require_absolute_path BACKUP_DIR "$BACKUP_DIR"
    [[ -d $BACKUP_DIR ]] || setting_error BACKUP_DIR "$BACKUP_DIR" "create this directory, or mount one there"
}

# Also sets mysql_password, and removes the password from the environment that tools inherit.
validate_mysql_settings() {
    [[ -n $MYSQL_USER ]] || setting_error MYSQL_USER "" "name the user for the connection to $MYSQL_HOST"
    [[ -n $MYSQL_DATABASE ]] || setting_error MYSQL_DATABASE "" "name the database on $MYSQL_HOST"
    [[ $MYSQL_DATABASE =~ ^[0-9A-Za-z_$][-0-9A-Za-z_$]*$ ]] ||
        setting_error MYSQL_DATABASE "$MYSQL_DATABASE" "use letters, digits, '_', '$' and '-' (not at the beginning)"
    require_whole_number MYSQL_PORT "$MYSQL_PORT" 65535 "the port of the server"
    if [[ -n ${MYSQL_PASSWORD_FILE:-} ]]; then
        [[ -z ${MYSQL_PASSWORD+set} ]] ||
            setting_error MYSQL_PASSWORD_FILE "$MYSQL_PASSWORD_FILE" "unset it or MYSQL_PASSWORD: only one may be set"
        [[ -f $MYSQL_PASSWORD_FILE && -r $MYSQL_PASSWORD_FILE ]] ||
            setting_error MYSQL_PASSWORD_FILE "$MYSQL_PASSWORD_FILE" "name a readable file"
        mysql_password=$(<"$MYSQL_PASSWORD_FILE")
    else
        [[ -n ${MYSQL_PASSWORD+set} ]] ||
            setting_error MYSQL_PASSWORD "" "set it (to an empty value if the user has none) or MYSQL_PASSWORD_FILE"
        mysql_password=$MYSQL_PASSWORD
    fi
    unset MYSQL_PASSWORD
}

default_mysql_settings() {
    MYSQL_HOST=${MYSQL_HOST:-}
    # In the environment, the mysql client would interpret the path of a socket as a host name.
    export -n MYSQL_HOST
    MYSQL_PORT=${MYSQL_PORT:-3306}
    MYSQL_USER=${MYSQL_USER:-}
    MYSQL_DATABASE=${MYSQL_DATABASE:-}
}

# MySQL interprets backslash escapes inside quotes, so every byte of a password can be written.
quote_for_option_file() {
    local value=$1
    value=${value//\\/\\\\}
    value=${value//\"/\\\"}
    value=${value//$'\n'/\\n}
    value=${value//$'\r'/\\r}
    printf '"%s"' "$value"
}

# Sets option_file and option_file_lock. It is in memory if possible, so that the password is never written to a disk.
write_option_file() {
    local parent=${TMPDIR:-/tmp}
    [[ -d /dev/shm && -w /dev/shm ]] && parent=/dev/shm
    # After a failure, that of the attempt before may still be there.
    remove_option_file
    remove_left_option_files "$parent"
    option_file_directory=$(mktemp --directory "$parent/backup-sidecar.XXXXXXXXXX") || return 1
    exec {option_file_lock}<"$option_file_directory" && flock --nonblock "$option_file_lock" || return 1
    option_file=$option_file_directory/my.cnf
    {
        printf '[client]\nuser=%s\n' "$(quote_for_option_file "$MYSQL_USER")"
        printf 'password=%s\n' "$(quote_for_option_file "$mysql_password")"
        if [[ $MYSQL_HOST == /* ]]; then
            printf 'socket=%s\n' "$(quote_for_option_file "$MYSQL_HOST")"
        else
            # Without protocol=TCP, "localhost" would mean a socket, which does not exist in this container.
            printf 'host=%s\nport=%s\nprotocol=TCP\n' "$(quote_for_option_file "$MYSQL_HOST")" "$MYSQL_PORT"
        fi
    } >"$option_file"
}

remove_option_file() {
    [[ -n $option_file_directory ]] || return 0
    rm -rf -- "$option_file_directory"
    option_file_directory=""
    exec {option_file_lock}<&-
}

# A run holds a lock on its directory. One without a lock, and not just made, is of a run that was killed.
remove_left_option_files() {
    local left
    while IFS= read -r -d '' left; do
        ! flock --nonblock "$left" true || rm -rf -- "$left"
    done < <(find "$1" -maxdepth 1 -name 'backup-sidecar.*' -user "$(id -u)" -mmin +1 -print0 2>/dev/null)
}

# The shell handles a signal only between commands. So a tool runs in the background, in its own process group: a signal
# is handled at once, and can end the tool with its child processes. The tool does not inherit the lock.
run_tool() {
    set -m
    if [[ -n $lock_descriptor ]]; then
        "$@" {lock_descriptor}>&- &
    else
        "$@" &
    fi
    set +m
    wait "$!"
}

# Tools only read data and write temporary files, so they can be killed at once.
end_tools() {
    local process
    for process in $(jobs -p); do
        kill -KILL -- "-$process"
    done 2>/dev/null
    wait 2>/dev/null
}

stop_by_signal() {
    local status=$1
    trap '' TERM INT HUP
    end_tools
    log "stopped by a signal; the running backup or restore was cancelled"
    exit "$status"
}

install_traps() {
    trap 'stop_by_signal 143' TERM
    trap 'stop_by_signal 130' INT
    trap 'stop_by_signal 129' HUP
    trap remove_temporary_files EXIT
}

new_stamp() {
    date -u +%Y%m%dT%H%M%S.%NZ
}

artifact_suffix() {
    case $1 in
        mysql) echo sql.zst ;;
        *) echo tar.zst ;;
    esac
}

# Names of all complete artifacts of a kind in a directory, oldest first. Only regular files with a name in the sidecar's
# own format count.
list_artifacts() {
    local kind=$1 directory=${2:-$BACKUP_DIR}
    find "$directory" -maxdepth 1 -type f -regextype posix-extended \
        -regex ".*/$kind-$STAMP_PATTERN\.$(artifact_suffix "$kind")(\.age)?" -printf '%f\n' | LC_ALL=C sort
}

# The same, of manifests.
list_manifests() {
    local kind=$1 directory=${2:-$BACKUP_DIR}
    find "$directory" -maxdepth 1 -type f -regextype posix-extended -regex ".*/$kind-$STAMP_PATTERN\.json" \
        -printf '%f\n' | LC_ALL=C sort
}

# The stamp in the name of an artifact or a manifest.
stamp_of() {
    local rest=${1#*-}
    printf '%s' "${rest:0:26}"
}

# manifest_of NAME: the name of the manifest of an artifact.
manifest_of() {
    printf '%s-%s.json' "${1%%-*}" "$(stamp_of "$1")"
}

digest_of() {
    local digest
    digest=$(b3sum --no-names -- "$1") && printf '%s' "$digest"
}

# The last line of a dump shows that it is complete.
ends_with_line() {
    local file=$1 pattern=$2
    tail -n 1 -- "$file" | grep -Eq -- "$pattern"
}

is_complete_mysql_dump() {
    ends_with_line "$1" '^-- Dump completed'
}

# `.dump` ends with "ROLLBACK; -- due to errors" if it could not read everything.
is_complete_sqlite_dump() {
    ends_with_line "$1" '^COMMIT;$'
}
