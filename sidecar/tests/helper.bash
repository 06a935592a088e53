# shellcheck shell=bash
# Each test has its own directory with a data directory, an empty backup directory, and a directory of fake tools that
# is first on PATH.

setup() {
    SIDECAR=${SIDECAR:-$(cd "$BATS_TEST_DIRNAME/.." && pwd)}
    unset "${!BACKUP_@}" "${!SQLITE_@}" "${!MYSQL_@}" "${!ALERT_@}" "${!AGE_@}" "${!KEEP_@}" "${!RCLONE_@}" \
        DESTINATION FREE_PERCENT_MIN METRICS_PORT PING_URL RETENTION_DAYS RETRY_SECONDS VERIFY_EVERY
    ROOT=$BATS_TEST_TMPDIR
    DATA=$ROOT/data
    mkdir -p "$DATA" "$ROOT/backups" "$ROOT/bin" "$ROOT/target"
    # The disk of the machine may be as full as it likes, and a test of a failure need not wait.
    export BACKUP_DIR=$ROOT/backups BACKUP_MODE=single BACKUP_ATTEMPTS=1 FREE_PERCENT_MIN=0 PATH=$ROOT/bin:$PATH
    DATABASE=$DATA/tracker.db
}

teardown() {
    local process
    for process in $(jobs -p); do
        kill -KILL "$process" 2>/dev/null || true
    done
}

make_database() {
    sqlite3 "$DATABASE" "CREATE TABLE torrents(name TEXT); INSERT INTO torrents VALUES ('one'), ('two');"
    export SQLITE_DATABASE=$DATABASE
}

# make_tool NAME: creates a tool from the script on standard input.
make_tool() {
    { echo '#!/usr/bin/env bash' && cat; } >"$ROOT/bin/$1"
    chmod +x "$ROOT/bin/$1"
}

# A mysqldump that records its arguments, environment and option file, and writes a complete dump. Its help text is
# longer than a pipe buffer, as that of the real one.
make_mysqldump() {
    export RECORDS=$ROOT/records
    mkdir -p "$RECORDS"
    make_tool mysqldump <<'TOOL'
[[ $* == *--version* ]] && { echo "mysqldump of these tests"; exit; }
[[ $* == *--help* ]] && { echo "${HELP_TEXT:---set-gtid-purged}" && seq 50000; exit; }
printf '%s\n' "$@" >"$RECORDS/arguments"
env >"$RECORDS/environment"
option_file=${1#--defaults-file=}
cp "$option_file" "$RECORDS/option_file"
stat --format=%a "$option_file" "$(dirname "$option_file")" >"$RECORDS/modes"
echo "$option_file" >"$RECORDS/name"
echo 'CREATE TABLE a(b INT);'
echo '-- Dump completed on 2026-01-01'
TOOL
    use_mysql
}

use_mysql() {
    export MYSQL_HOST=database MYSQL_USER=tracker MYSQL_PASSWORD=topsecret MYSQL_DATABASE=tracker
}

make_paths() {
    printf '%s\n' "$@" >"$ROOT/paths"
    export BACKUP_PATHS=$ROOT/paths
}

backup() {
    "$SIDECAR/backup.sh"
}

restore() {
    "$SIDECAR/restore.sh" "$@"
}

artifacts() {
    find "$BACKUP_DIR" -maxdepth 1 \( -name '*.zst' -o -name '*.age' \) -printf '%f\n' | sort
}

# Used instead of `! grep`, which fails a test only if it is the last line.
lacks() {
    local found=0
    grep -q -- "$@" || found=$?
    # Status 2 would mean that the file does not exist.
    [ "$found" -eq 1 ]
}

count_artifacts() {
    artifacts | grep -c . || true
}

mode_of() {
    stat --format=%a "$1"
}

wait_until() {
    local attempt
    for ((attempt = 0; attempt < 100; attempt++)); do
        "$@" && return 0
        sleep 0.05
    done
    return 1
}

# A killed process may stay as a zombie if no process reaps it.
is_gone() {
    ! grep -q '^State:[[:space:]]*[^ZX]' "/proc/$1/status" 2>/dev/null
}

# Neither artifacts nor temporary files exist.
assert_nothing_left() {
    [ "$(count_artifacts)" -eq 0 ]
    [ ! -e "$BACKUP_DIR/.backup-sidecar-partial" ]
}

# A setting is refused with status 2 and an error that names the variable, its value and the remedy.
assert_refused() {
    run backup
    echo "$output"
    [ "$status" -eq 2 ]
    [[ $output == "error: $1 is \"$2\": "?* ]]
    [ "$(wc -l <<<"$output")" -eq 1 ]
    [ "$(count_artifacts)" -eq 0 ]
}

# The manifest of the only artifact of a kind.
manifest() {
    cat "$BACKUP_DIR"/"$1"-*.json
}

# A curl that records each request: its address, from the configuration that it reads, and its body.
make_curl() {
    export REQUESTS=$ROOT/requests
    make_tool curl <<'TOOL'
body=""
while (($# > 0)); do
    case $1 in
        --config) address=$(sed 's/^url = "\(.*\)"$/\1/' "$2") && shift ;;
        --data-raw) body=$2 && shift ;;
    esac
    shift
done
printf '%s %s\n' "$address" "$body" >>"$REQUESTS"
[[ ! -e $REQUESTS.refuse ]]
TOOL
}

requests() {
    grep -c -- "$1" "$REQUESTS" 2>/dev/null || true
}
