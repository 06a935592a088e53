# shellcheck shell=bash
# Verification: a backup is restored in a scratch place and compared with its source. backup.sh sources this file.
#
# An artifact is verified before it is encrypted, because the key for decryption should not be on this machine. Its
# manifest then says when and how.

# Rows that are written while they are counted make the numbers differ by a little.
VERIFY_TOLERANCE_PERCENT=1
SCRATCH=verification

# What the manifest says: an object, or null.
verification=null

default_verification_settings() {
    VERIFY_EVERY=${VERIFY_EVERY:-0}
}

validate_verification_settings() {
    require_whole_number_or_zero VERIFY_EVERY "$VERIFY_EVERY" 100000 "1 to verify each backup, N for each Nth"
    [[ $VERIFY_EVERY == 0 || -z $MYSQL_HOST ]] || [[ -n $(server_program) ]] || setting_error VERIFY_EVERY \
        "$VERIFY_EVERY" "use an image with mysqld or mariadbd, into which a dump can be restored, or set it to 0"
}

# A backup is due if fewer than VERIFY_EVERY - 1 have been made since the last verified one.
is_verification_due() {
    local kind=$1 made verified
    ((VERIFY_EVERY > 0)) || return 1
    verified=$(list_verified "$kind" | tail -n 1)
    made=$(list_manifests "$kind" | sed "0,/^${verified:-none}\$/d" | wc -l)
    [[ -z $verified ]] || ((made + 1 >= VERIFY_EVERY))
}

# The counts are of the same moment as the backup only if nothing is written. So they are taken before and after it.
count_source_before() {
    count_source "$1" before
}

count_source_after() {
    count_source "$1" after
}

# Writes one object a table, {"table": ..., "rows": ...}, into a file. In a rollback-journal mode, counting would block the
# application: there, nothing is counted at the source.
count_source() {
    local kind=$1 file=$2
    : >"$file"
    is_verification_due "$kind" || return 0
    case $kind in
        sqlite)
            [[ $(sqlite_read_version) -eq 2 ]] || return 0
            count_rows_of_sqlite sqlite_reader_of_source >"$file"
            ;;
        mysql) count_rows_of_mysql "$MYSQL_DATABASE" --defaults-file="$option_file" >"$file" ;;
    esac || {
        log "failed: the rows of the source could not be counted"
        return 1
    }
}

sqlite_reader_of_source() {
    if is_closed_wal_database; then sqlite_source=$(immutable_address); else sqlite_source=$SQLITE_DATABASE; fi
    sqlite_reader "$@"
}

# count_rows_of_sqlite COMMAND...: COMMAND executes SQL. The first query prints one query a table. A virtual table is no
# table of rows, and its own tables are counted.
count_rows_of_sqlite() {
    "$@" "SELECT 'SELECT json_object(''table'', ' || quote(name) || ', ''rows'', count(*)) FROM \"' ||
        replace(name, '\"', '\"\"') || '\";' FROM sqlite_schema
        WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL %'" >queries &&
        "$@" "$(<queries)"
}

# count_rows_of_mysql DATABASE CONNECTION...
count_rows_of_mysql() {
    local database=$1
    shift
    run_tool mysql "$@" --batch --raw --skip-column-names --execute="SELECT CONCAT('SELECT JSON_OBJECT(''table'', ',
        QUOTE(table_name), ', ''rows'', COUNT(*)) FROM \`', REPLACE(table_name, '\`', '\`\`'), '\`;')
        FROM information_schema.tables WHERE table_schema = '$database' AND table_type = 'BASE TABLE'" >queries &&
        run_tool mysql "$@" --batch --raw --skip-column-names "$database" <queries
}

# Tables whose restored count is not between those before and after the backup, with the tolerance. Tables that were
# created or dropped meanwhile are not compared.
list_wrong_counts() {
    jq --null-input --raw-output --slurpfile before before --slurpfile after after --slurpfile restored restored \
        --argjson tolerance "$VERIFY_TOLERANCE_PERCENT" '
        def counts: map({key: .table, value: .rows}) | from_entries;
        ($before | counts) as $before | ($after | counts) as $after | ($restored | counts) as $restored
        | $before | keys[] | select($after[.] != null)
        | {table: ., low: ([$before[.], $after[.]] | min), high: ([$before[.], $after[.]] | max), rows: $restored[.]}
        | select(.rows == null or .rows < .low * (1 - $tolerance / 100) or .rows > .high * (1 + $tolerance / 100))
        | "\(.table) has \(.rows // "no") rows instead of \(.low) to \(.high)"'
}

# Verifies this artifact if it is due. Leaves the result in verification.
verify_if_due() {
    local kind=$1 artifact=$2 how wrong
    verification=null
    is_verification_due "$kind" || return 0
    [[ -s before ]] || : >before
    [[ -s after ]] || : >after
    rm -rf -- "$SCRATCH" && mkdir -- "$SCRATCH" && : >restored || return 1
    if ! "try_$kind" "$artifact"; then
        raise_alert verification-failed "the $kind backup could not be restored, or is damaged; it was not stored"
        return 1
    fi
    wrong=$(list_wrong_counts) || return 1
    if [[ -n $wrong ]]; then
        raise_alert verification-failed "the restored $kind backup has other rows than its source: ${wrong//$'\n'/; }"
        return 1
    fi
    rm -rf -- "$SCRATCH"
    resolve_alert verification-failed
    how="restored in a scratch place"
    [[ $kind == config ]] || how+=", checked for damage"
    [[ ! -s before ]] || how+=", rows compared with the source"
    verification=$(jq --slurp --arg at "$(date -u +%Y-%m-%dT%H:%M:%SZ)" --arg how "$how" \
        '{at: $at, how: $how, rows: (map({key: .table, value: .rows}) | from_entries)}' restored)
    log "verified the $kind backup: $how"
}

unpack_for_verification() {
    run_tool tar --extract --zstd --file="$1" --directory="$SCRATCH" --delay-directory-restore
}

try_sqlite() {
    local restored=$SCRATCH/database.db
    unpack_for_verification "$1" || return 1
    if [[ -f $SCRATCH/database.sql ]]; then
        run_tool sqlite3 -batch -bail "$restored" <"$SCRATCH/database.sql" >&2 || return 1
    fi
    is_sound run_tool sqlite3 -batch -readonly "file:$restored?immutable=1" 'PRAGMA quick_check' &&
        count_rows_of_sqlite run_tool sqlite3 -batch -readonly "file:$restored?immutable=1" >restored
}

# Every file that was archived has to come out again.
try_config() {
    unpack_for_verification "$1" && (cd "$SCRATCH" && find . -mindepth 1 -printf '%P\0') |
        LC_ALL=C sort --zero-terminated | cmp --quiet - members
}

# The program of a server, in which a dump can be restored.
server_program() {
    command -v mysqld || command -v mariadbd
}

create_scratch_server() {
    local data=$PWD/$SCRATCH/data
    if command -v mysqld >/dev/null && [[ $(mysqld --no-defaults --version) != *MariaDB* ]]; then
        run_tool mysqld --no-defaults --initialize-insecure --user="$(id -un)" --datadir="$data" >"$SCRATCH/said" 2>&1
    else
        run_tool mariadb-install-db --no-defaults --user="$(id -un)" --datadir="$data" \
            --auth-root-authentication-method=normal --skip-test-db >"$SCRATCH/said" 2>&1
    fi
}

# The socket lies in memory, because its path must be short. Nothing of this server has to survive.
start_scratch_server() {
    local options=(--no-defaults --user="$(id -un)" --datadir="$PWD/$SCRATCH/data" --socket="$option_file_directory/socket"
        --pid-file="$PWD/$SCRATCH/pid" --secure-file-priv="$PWD/$SCRATCH" --skip-networking --skip-log-bin --innodb-flush-log-at-trx-commit=0
        --innodb-doublewrite=0)
    [[ $("$(server_program)" --no-defaults --version) == *MariaDB* ]] || options+=(--mysqlx=OFF)
    set -m
    "$(server_program)" "${options[@]}" {lock_descriptor}>&- >>"$SCRATCH/said" 2>&1 &
    scratch_server=$!
    set +m
}

scratch_client() {
    run_tool mysql --no-defaults --user=root --socket="$option_file_directory/socket" --batch --raw \
        --skip-column-names "$@"
}

await_scratch_server() {
    local attempt
    for ((attempt = 0; attempt < 600; attempt++)); do
        scratch_client --execute='SELECT 1' >/dev/null 2>&1 && return 0
        kill -0 "$scratch_server" 2>/dev/null || return 1
        run_tool sleep 0.1
    done
    return 1
}

# CHECK TABLE prints a row with the status for each table; whatever is not OK is a finding.
check_scratch_tables() {
    local findings
    scratch_client --execute="SELECT CONCAT('CHECK TABLE \`', REPLACE(table_name, '\`', '\`\`'), '\`;')
        FROM information_schema.tables WHERE table_schema = 'restored' AND table_type = 'BASE TABLE'" >queries &&
        scratch_client restored <queries >checked || return 1
    findings=$(grep --invert-match --extended-regexp $'\tcheck\tstatus\tOK$' checked) || return 0
    log "failed: CHECK TABLE found: ${findings:0:500}"
    return 1
}

# The first errors that it printed, or its last lines.
errors_of_scratch_server() {
    local errors
    errors=$(grep --text ERROR "$SCRATCH/said" 2>/dev/null) || errors=$(tail -n 3 "$SCRATCH/said" 2>/dev/null)
    printf '%s' "${errors:0:500}"
}

load_and_count() {
    await_scratch_server && scratch_client --execute='CREATE DATABASE restored' &&
        scratch_client --binary-mode restored <"$SCRATCH/dump.sql" && check_scratch_tables &&
        count_rows_of_mysql restored --no-defaults --user=root --socket="$option_file_directory/socket" >restored
}

try_mysql() {
    local status=0
    run_tool zstd --quiet --decompress -o "$SCRATCH/dump.sql" "$1" && is_complete_mysql_dump "$SCRATCH/dump.sql" &&
        write_option_file && create_scratch_server && start_scratch_server || status=1
    if ((status == 0)); then
        load_and_count || status=1
        kill -KILL -- "-$scratch_server" 2>/dev/null
        wait "$scratch_server" 2>/dev/null
    fi
    ((status == 0)) || log "failed: the dump could not be restored in a scratch server: $(errors_of_scratch_server)"
    remove_option_file
    return "$status"
}
