#!/usr/bin/env bats
# The maintenance window: stopped containers are started again, whatever happens meanwhile.

load helper

# A docker whose containers are files, and which records its calls.
make_docker() {
    export STATES=$ROOT/states CALLS=$ROOT/calls
    mkdir -p "$STATES"
    : >"$CALLS"
    make_tool docker <<'TOOL'
container=${!#}
[[ $1 == container ]] || echo "$1 $container" >>"$CALLS"
[[ ! -e $STATES/$container.$1-fails ]] || exit 1
case $1 in
    container) cat "$STATES/$container" ;;
    stop) echo false >"$STATES/$container" ;;
    start) echo true >"$STATES/$container" ;;
esac
TOOL
}

# make_container NAME STATE
make_container() {
    [ -e "$ROOT/bin/docker" ] || make_docker
    echo "$2" >"$STATES/$1"
}

# make_sidecar: the script on standard input is the command of the window; its call is recorded.
make_sidecar() {
    { echo 'echo "back up" >>"$CALLS"' && cat; } | make_tool take-backup
}

window() {
    "$SIDECAR/maintenance-window.sh" "$@"
}

calls() {
    paste --serial --delimiters=, "$CALLS"
}

@test "a window stops, backs up and starts" {
    make_container tracker true
    make_sidecar <<<'exit 0'
    window tracker -- take-backup
    [ "$(calls)" = "stop tracker,back up,start tracker" ]
}

@test "a container that would be removed when it stops is not stopped" {
    make_container tracker "true true"
    make_sidecar <<<'exit 0'
    run window tracker -- take-backup
    [ "$status" -eq 2 ]
    [[ $output == *"tracker was started with --rm"* ]]
    [ -z "$(calls)" ]
}

@test "the command gets its arguments unchanged" {
    make_container tracker true
    make_sidecar <<<'printf "<%s>" "$@" >>"$CALLS"'
    window tracker -- take-backup "one two" -- '*'
    grep -qF '<one two><--><*>' "$CALLS"
}

@test "an application is started again when the backup fails, and the exit status is that of the backup" {
    make_container tracker true
    for expected in 1 2 3; do
        make_sidecar <<<"exit $expected"
        : >"$CALLS"
        run window tracker -- take-backup
        [ "$status" -eq "$expected" ]
        [ "$(calls)" = "stop tracker,back up,start tracker" ]
    done
}

@test "an application is started again when the command does not exist" {
    make_container tracker true
    run window tracker -- no-such-command
    [ "$status" -eq 127 ]
    [ "$(calls)" = "stop tracker,start tracker" ]
}

@test "an application that is not running is backed up and left stopped" {
    make_container tracker false
    make_sidecar <<<'exit 0'
    window tracker -- take-backup
    [ "$(calls)" = "back up" ]
    [ "$(cat "$STATES/tracker")" = false ]
}

@test "of several containers, the running ones are stopped, and started in reverse order" {
    make_container index true
    make_container importer false
    make_container tracker true
    make_sidecar <<<'exit 0'
    window index importer tracker -- take-backup
    [ "$(calls)" = "stop index,stop tracker,back up,start tracker,start index" ]
}

@test "a container that does not exist is refused before anything is stopped" {
    make_container tracker true
    make_sidecar <<<'exit 0'
    run window tracker trakcer -- take-backup
    [ "$status" -eq 2 ]
    [[ $output == *trakcer* ]]
    [ -z "$(calls)" ]
}

@test "a window without containers or without a command is refused" {
    make_container tracker true
    for arguments in "" "tracker" "tracker --" "-- take-backup"; do
        # shellcheck disable=SC2086
        run window $arguments
        [ "$status" -eq 2 ]
        [[ $output == *usage:* ]]
    done
    [ -z "$(calls)" ]
}

@test "a container that could not be stopped is started again, and nothing is backed up" {
    make_container index true
    make_container tracker true
    : >"$STATES/tracker.stop-fails"
    make_sidecar <<<'exit 0'
    run window index tracker -- take-backup
    [ "$status" -eq 1 ]
    [ "$(calls)" = "stop index,stop tracker,start tracker,start index" ]
}

@test "a container that cannot be started is reported, and the others are started" {
    make_container index true
    make_container tracker true
    : >"$STATES/tracker.start-fails"
    make_sidecar <<<'exit 0'
    run window index tracker -- take-backup
    [ "$status" -eq 1 ]
    [[ $output == *"tracker could not be started"* ]]
    [ "$(cat "$STATES/index")" = true ]
}

# Starts a window with a backup that never ends, and waits until it runs.
start_window() {
    make_container tracker true
    : >"$CALLS"
    make_tool take-backup <<'TOOL'
trap 'echo ended >>"$CALLS"; exit 143' TERM
echo "back up" >>"$CALLS"
sleep 1000 &
wait
TOOL
    "$SIDECAR/maintenance-window.sh" tracker -- take-backup 2>"$ROOT/log" 3>&- &
    window=$!
    wait_until grep -q 'back up' "$CALLS"
}

@test "a second window is refused with status 3 and touches nothing" {
    start_window
    before=$(calls)
    run window tracker -- take-backup
    [ "$status" -eq 3 ]
    [ "$(calls)" = "$before" ]
    kill -TERM "$window"
    wait "$window" || true
}

@test "a signal ends the backup, and the application is started again" {
    for signal in TERM:143 HUP:129; do
        start_window
        kill -"${signal%:*}" "$window"
        status=0
        wait "$window" || status=$?
        [ "$status" -eq "${signal#*:}" ]
        [ "$(calls)" = "stop tracker,back up,ended,start tracker" ]
    done
}

@test "a signal while an application stops is handled after it has stopped" {
    make_container tracker true
    make_sidecar <<<'exit 0'
    mkfifo "$ROOT/stopping"
    mv "$ROOT/bin/docker" "$ROOT/bin/docker-at-once"
    make_tool docker <<TOOL
[[ \$1 != stop ]] || { echo stopping >"$ROOT/log"; cat "$ROOT/stopping"; }
exec docker-at-once "\$@"
TOOL
    "$SIDECAR/maintenance-window.sh" tracker -- take-backup 3>&- &
    window=$!
    wait_until test -s "$ROOT/log"
    kill -TERM "$window"
    echo go on >"$ROOT/stopping"
    status=0
    wait "$window" || status=$?
    [ "$status" -eq 143 ]
    [ "$(calls)" = "stop tracker,start tracker" ]
}
