#!/usr/bin/env bats
# Loops, signals and overlapping runs.

load helper

# Starts a loop in a separate process. Descriptor 3 belongs to bats and must not be kept open.
start_loop() {
    BACKUP_MODE=loop BACKUP_INTERVAL=${1:-1000} "$SIDECAR/backup.sh" 2>"$ROOT/log" 3>&- &
    loop=$!
}

stop_loop() {
    local began=$SECONDS
    kill -TERM "$loop"
    wait_until is_gone "$loop"
    status=0
    wait "$loop" || status=$?
    ((SECONDS - began < 3))
}

has_artifacts() {
    [ "$(count_artifacts)" -ge "$1" ]
}

# A mysqldump that never ends, and starts a child process.
make_endless_mysqldump() {
    use_mysql
    make_tool mysqldump <<TOOL
[[ \$* == *--help* ]] && exit 0
echo "\${1#--defaults-file=}" >"$ROOT/option_file_name"
sleep 1000 &
echo \$! >"$ROOT/child"
wait
TOOL
}

@test "a loop takes a backup at each interval" {
    make_database
    start_loop 1
    wait_until has_artifacts 3
    stop_loop
}

@test "SIGTERM ends a waiting loop at once" {
    make_database
    start_loop
    wait_until has_artifacts 1
    wait_until test ! -e "$BACKUP_DIR/.backup-sidecar-partial"
    stop_loop
    [ "$status" -eq 143 ]
    [ "$(count_artifacts)" -eq 1 ]
}

@test "SIGTERM ends the running tool, and leaves nothing" {
    make_endless_mysqldump
    start_loop
    wait_until test -s "$ROOT/child"
    stop_loop
    [ "$status" -eq 143 ]
    wait_until is_gone "$(cat "$ROOT/child")"
    assert_nothing_left
    [ ! -e "$(cat "$ROOT/option_file_name")" ]
}

@test "SIGTERM ends a single backup, too" {
    make_endless_mysqldump
    "$SIDECAR/backup.sh" 3>&- &
    loop=$!
    wait_until test -s "$ROOT/child"
    stop_loop
    [ "$status" -eq 143 ]
    assert_nothing_left
}

@test "a loop continues after a failure, marks it, and recovers" {
    echo no database >"$DATABASE"
    export SQLITE_DATABASE=$DATABASE
    start_loop 1
    wait_until test -s "$BACKUP_DIR/last-failure"
    rm "$DATABASE"
    make_database
    wait_until has_artifacts 1
    wait_until test ! -e "$BACKUP_DIR/last-failure"
    stop_loop
    grep -q 'will try again' "$ROOT/log"
}

@test "a run that overlaps another refuses with status 3 and touches nothing" {
    make_endless_mysqldump
    start_loop
    wait_until test -s "$ROOT/child"
    # Without the lock this would never end.
    run timeout 20 "$SIDECAR/backup.sh"
    [ "$status" -eq 3 ]
    [[ $output == *"is running"* ]]
    [ -e "$BACKUP_DIR/.backup-sidecar-partial/mysql.sql" ]
    [ ! -e "$BACKUP_DIR/last-failure" ]
    stop_loop
}

@test "a single backup can be taken while a loop waits" {
    make_database
    start_loop
    wait_until has_artifacts 1
    wait_until test ! -e "$BACKUP_DIR/.backup-sidecar-partial"
    wait_until backup
    [ "$(count_artifacts)" -eq 2 ]
    stop_loop
}

@test "a run that was killed with SIGKILL does not block the next one" {
    make_endless_mysqldump
    "$SIDECAR/backup.sh" 3>&- &
    loop=$!
    wait_until test -s "$ROOT/child"
    kill -KILL "$loop"
    wait "$loop" || true
    make_mysqldump
    backup
    [ "$(count_artifacts)" -eq 1 ]
    kill -KILL "$(cat "$ROOT/child")"
}
