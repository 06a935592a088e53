#!/usr/bin/env bash
# A maintenance window, for the machine on which the application's containers run: stops them, runs one command (a
# single run of the sidecar), and starts them again, whether or not the command succeeded. Exit status: that of the
# command; 1 a container could not be stopped or started again, 2 an argument is wrong, 3 another window is open, 129,
# 130 or 143 ended by a signal.

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

USAGE='usage: maintenance-window.sh CONTAINER... -- COMMAND [ARGUMENT...]

  CONTAINER     stopped first and started again at the end, in reverse order; left stopped if it is not running
  COMMAND       runs meanwhile, for example: docker run --rm -e BACKUP_MODE=single ... backup-sidecar

  DOCKER        the command that manages the containers (default: docker)
  STOP_SECONDS  time in seconds for a container to stop cleanly before it is killed (default: 60)'

# The containers that this window has stopped, the last one first.
stopped=()
# Set by a signal, which is handled when the current step has ended.
signal_status=0
interrupted=no
command_process=""

argument_error() {
    printf 'error: %s\n%s\n' "$1" "$USAGE" >&2
    exit "$EXIT_BAD_SETTING"
}

parse_arguments() {
    containers=()
    while (($# > 0)) && [[ $1 != -- ]]; do
        [[ $1 != --help ]] || { echo "$USAGE" && exit 0; }
        containers+=("$1")
        shift
    done
    ((${#containers[@]} > 0)) || argument_error "name the containers to stop"
    (($# > 1)) || argument_error "give the command to run after --"
    shift
    window_command=("$@")
}

# A second window would start the containers that the first has stopped. The lock is on this script, so that no file is
# left behind.
take_window_lock() {
    exec {lock_descriptor}<"${BASH_SOURCE[0]}"
    if ! flock --nonblock "$lock_descriptor"; then
        log "refused: another window is open"
        exit "$EXIT_OVERLAPPING"
    fi
}

# A container that does not exist is an error that is found before anything is stopped.
find_running() {
    running=()
    local container state
    for container in "${containers[@]}"; do
        state=$("$DOCKER" container inspect --format '{{.State.Running}} {{.HostConfig.AutoRemove}}' \
            "$container") ||
            argument_error "$DOCKER does not know the container $container"
        if [[ $state == "true true" ]]; then
            argument_error "$container was started with --rm: stopping it would remove it with its volumes"
        elif [[ $state == true* ]]; then
            running+=("$container")
        else
            log "$container is not running and is left stopped"
        fi
    done
}

note_signal() {
    signal_status=$1
    interrupted=yes
    [[ -z $command_process ]] || kill -TERM -- "-$command_process" 2>/dev/null
}

# Waits for a child process, however many signals arrive.
wait_for() {
    local status
    while true; do
        interrupted=no
        wait "$1"
        status=$?
        [[ $interrupted == yes ]] || return "$status"
    done
}

# Runs in its own process group, which Ctrl-C does not reach: a cancelled stop would still take effect later, after the
# start.
run_apart() {
    set -m
    "$@" {lock_descriptor}<&- &
    set +m
    wait_for "$!"
}

stop_running() {
    local container
    for container in "${running[@]}"; do
        ((signal_status == 0)) || return 1
        log "stopping $container"
        # Recorded even if the stop fails: its outcome is unknown, and starting a running container does no harm.
        stopped=("$container" "${stopped[@]}")
        if ! run_apart "$DOCKER" stop -t "$STOP_SECONDS" "$container" >/dev/null; then
            log "failed: $container could not be stopped"
            return 1
        fi
    done
    ((signal_status == 0))
}

run_command() {
    set -m
    "${window_command[@]}" {lock_descriptor}<&- &
    set +m
    command_process=$!
    # A signal that arrived just before has not reached the command.
    ((signal_status == 0)) || kill -TERM -- "-$command_process" 2>/dev/null
    wait_for "$command_process"
    local status=$?
    command_process=""
    ((status == 0)) || log "failed: ${window_command[0]} ended with exit status $status"
    return "$status"
}

start_stopped() {
    local container status=0
    for container in "${stopped[@]}"; do
        if run_apart "$DOCKER" start "$container" >/dev/null; then
            log "started $container"
        else
            log "failed: $container could not be started; start it manually"
            status=1
        fi
    done
    stopped=()
    return "$status"
}

# 1. lock; 2. stop the running containers; 3. run the command; 4. start the stopped ones again, even if 2 or 3 failed.
main() {
    set -u -o pipefail
    exec </dev/null
    DOCKER=${DOCKER:-docker}
    STOP_SECONDS=${STOP_SECONDS:-60}
    parse_arguments "$@"
    require_whole_number STOP_SECONDS "$STOP_SECONDS" 86400 "seconds to stop in"
    require_tool flock
    require_tool "$DOCKER"
    take_window_lock
    find_running
    trap 'note_signal 143' TERM
    trap 'note_signal 130' INT
    trap 'note_signal 129' HUP
    trap start_stopped EXIT
    local status=$EXIT_FAILED
    if stop_running; then
        run_command
        status=$?
    fi
    start_stopped || status=$EXIT_FAILED
    ((signal_status == 0)) || status=$signal_status
    exit "$status"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
