# shellcheck shell=bash
# Alerts, metrics and pings: how a failure reaches a person. backup.sh sources this file.
#
# An alert is raised once, and resolved once. That it is raised is a file in the backup directory, so a new container
# knows it, and an alert that could not be delivered is tried again with the next report. Where that file cannot be written,
# this process remembers it.

ALERTS=(backup-failed interval-missed verification-failed nearly-full)
ALERT_SCHEMA=backup-sidecar-alert
ALERT_TIMEOUT_SECONDS=10

cycles_succeeded=0
cycles_failed=0
last_duration=""
declare -A remembered_alerts=()

default_alert_settings() {
    ALERT_WEBHOOK=${ALERT_WEBHOOK:-}
    ALERT_WEBHOOK_FILE=${ALERT_WEBHOOK_FILE:-}
    PING_URL=${PING_URL:-}
    METRICS_PORT=${METRICS_PORT:-}
    FREE_PERCENT_MIN=${FREE_PERCENT_MIN:-10}
}

validate_alert_settings() {
    require_whole_number_or_zero FREE_PERCENT_MIN "$FREE_PERCENT_MIN" 99 "percent of the disk that should stay free"
    if [[ -n $ALERT_WEBHOOK_FILE ]]; then
        [[ -z $ALERT_WEBHOOK ]] ||
            setting_error ALERT_WEBHOOK_FILE "$ALERT_WEBHOOK_FILE" "unset it or ALERT_WEBHOOK: only one may be set"
        [[ -f $ALERT_WEBHOOK_FILE && -r $ALERT_WEBHOOK_FILE ]] ||
            setting_error ALERT_WEBHOOK_FILE "$ALERT_WEBHOOK_FILE" "name a readable file with the address"
        ALERT_WEBHOOK=$(<"$ALERT_WEBHOOK_FILE")
    fi
    require_web_address ALERT_WEBHOOK "$ALERT_WEBHOOK"
    require_web_address PING_URL "$PING_URL"
    [[ -z $ALERT_WEBHOOK$PING_URL ]] || require_tool curl
    # An address may contain a secret: tools do not inherit it.
    export -n ALERT_WEBHOOK PING_URL
    if [[ -n $METRICS_PORT ]]; then
        require_whole_number METRICS_PORT "$METRICS_PORT" 65535 "the port for metrics"
        require_tool socat
    fi
}

require_web_address() {
    local variable=$1 value=$2
    [[ -z $value || $value =~ ^https?://[^[:space:]\"\\]+$ ]] ||
        setting_error "$variable" "$value" "give an address that begins with http:// or https://"
}

# call ADDRESS [OPTION...]: one request. The address is not on the command line, where others could read it.
call() {
    local address=$1
    shift
    run_tool curl --silent --show-error --fail --max-time "$ALERT_TIMEOUT_SECONDS" --output /dev/null \
        --config <(printf 'url = "%s"\n' "$address") "$@"
}

# ping_monitor SUFFIX: tells a service that expects a call at each interval: /start, nothing for a success, or /fail. It
# notices when this container no longer runs, which nothing in here could.
ping_monitor() {
    [[ -n $PING_URL ]] || return 0
    call "$PING_URL$1" || log "warning: the ping '$1' could not be delivered"
}

alert_file() {
    printf '%s/.backup-sidecar-alert-%s' "$BACKUP_DIR" "$1"
}

is_firing() {
    [[ -n ${remembered_alerts[$1]:-} || -e $(alert_file "$1") ]]
}

# deliver NAME STATE MESSAGE: the log always has it.
deliver() {
    local name=$1 state=$2 message=$3 body
    log "ALERT $name $state: $message"
    [[ -n $ALERT_WEBHOOK ]] || return 0
    body=$(jq --null-input --compact-output --arg schema "$ALERT_SCHEMA" --arg alert "$name" --arg state "$state" \
        --arg at "$(date -u +%Y-%m-%dT%H:%M:%SZ)" --arg host "$(uname -n)" --arg directory "$BACKUP_DIR" \
        --arg message "$message" '{schema: $schema, version: 1, alert: $alert, state: $state, at: $at, host: $host,
            directory: $directory, message: $message}')
    call "$ALERT_WEBHOOK" --header 'Content-Type: application/json' --data-raw "$body" && return 0
    log "warning: the alert could not be delivered"
    return 1
}

raise_alert() {
    local name=$1 message=$2
    is_firing "$name" && return 0
    deliver "$name" firing "$message" || return 0
    if ! : >"$(alert_file "$name")"; then
        remembered_alerts[$name]=yes
    fi
}

resolve_alert() {
    local name=$1
    is_firing "$name" || return 0
    deliver "$name" resolved "$name is over" || return 0
    unset "remembered_alerts[$name]"
    rm -f -- "$(alert_file "$name")"
}

# free_percent TOTAL FREE
is_nearly_full() {
    (($2 * 100 < $1 * FREE_PERCENT_MIN))
}

# Space of the backup directory, and of the destination if it tells.
report_space() {
    local total free full=()
    read -r total free < <(df --block-size=1 --output=size,avail -- "$BACKUP_DIR" | tail -n 1)
    is_nearly_full "$total" "$free" && full+=("$BACKUP_DIR has $free of $total bytes free")
    if [[ -n $DESTINATION ]] && read -r total free < <(space_of_destination) && is_nearly_full "$total" "$free"; then
        full+=("the destination has $free of $total bytes free")
    fi
    if ((${#full[@]} > 0)); then
        raise_alert nearly-full "${full[*]}"
    else
        resolve_alert nearly-full
    fi
}

# report_cycle STATUS DURATION: after each cycle.
report_cycle() {
    local status=$1
    last_duration=$2
    if ((status == 0)); then
        ((cycles_succeeded++))
        resolve_alert backup-failed
        resolve_alert interval-missed
        ping_monitor ""
    else
        ((cycles_failed++))
        raise_alert backup-failed "no complete backup was stored (${parts[*]}); the log says why"
        ping_monitor /fail
    fi
    report_space
    write_metrics
}

metric() {
    local name=$1 type=$2 help=$3
    printf '# HELP backup_sidecar_%s %s\n# TYPE backup_sidecar_%s %s\n' "$name" "$help" "$name" "$type"
}

# Of the newest artifact of each kind, and of the newest verified one, as its manifest says.
print_kinds() {
    local kind newest verified
    metric backups gauge "Number of backups in the backup directory."
    for kind in "${KINDS[@]}"; do
        printf 'backup_sidecar_backups{kind="%s"} %d\n' "$kind" "$(list_artifacts "$kind" | wc -l)"
    done
    metric newest_bytes gauge "Size of the newest backup."
    for kind in "${KINDS[@]}"; do
        newest=$(list_artifacts "$kind" | tail -n 1)
        [[ -z $newest ]] || printf 'backup_sidecar_newest_bytes{kind="%s"} %d\n' "$kind" \
            "$(stat --format=%s -- "$BACKUP_DIR/$newest")"
    done
    metric newest_timestamp_seconds gauge "When the newest backup began."
    for kind in "${KINDS[@]}"; do
        newest=$(list_artifacts "$kind" | tail -n 1)
        [[ -z $newest ]] || print_moment newest "$kind" "$newest"
    done
    metric verified_timestamp_seconds gauge "When the newest verified backup began."
    for kind in "${KINDS[@]}"; do
        verified=$(list_verified "$kind" | tail -n 1)
        [[ -z $verified ]] || print_moment verified "$kind" "$verified"
    done
}

print_moment() {
    printf 'backup_sidecar_%s_timestamp_seconds{kind="%s"} %d\n' "$1" "$2" \
        "$(date -u -d "$(time_of_stamp "$(stamp_of "$3")")" +%s)"
}

print_metrics() {
    local name
    metric cycles_total counter "Cycles since the sidecar started, by result."
    printf 'backup_sidecar_cycles_total{result="success"} %d\n' "$cycles_succeeded"
    printf 'backup_sidecar_cycles_total{result="failure"} %d\n' "$cycles_failed"
    metric last_cycle_seconds gauge "How long the last cycle took."
    printf 'backup_sidecar_last_cycle_seconds %d\n' "$last_duration"
    if [[ -e $BACKUP_DIR/last-success ]]; then
        metric last_success_timestamp_seconds gauge "When the last successful cycle ended."
        printf 'backup_sidecar_last_success_timestamp_seconds %d\n' "$(stat --format=%Y -- "$BACKUP_DIR/last-success")"
    fi
    print_kinds
    metric free_bytes gauge "Free space in the backup directory."
    printf 'backup_sidecar_free_bytes %s\n' "$(df --block-size=1 --output=avail -- "$BACKUP_DIR" | tail -n 1)"
    metric alert_firing gauge "1 while an alert is raised."
    for name in "${ALERTS[@]}"; do
        printf 'backup_sidecar_alert_firing{alert="%s"} %d\n' "$name" "$(is_firing "$name" && echo 1 || echo 0)"
    done
}

# A text file for a node exporter, replaced in one step. A failure is logged only.
write_metrics() {
    local partial=$BACKUP_DIR/.backup-sidecar-metrics
    print_metrics >"$partial" && chmod 0644 -- "$partial" && mv -- "$partial" "$BACKUP_DIR/metrics.prom" ||
        log "warning: the metrics could not be written"
}

# Whether the parent of this subshell still runs. When it dies, another process becomes the parent.
has_parent() {
    local process name state parent rest
    read -r process name state parent rest <"/proc/$BASHPID/stat"
    ((parent == $$))
}

# Raises an alert when there was no success for two intervals: also while a cycle hangs. The time of last-success only
# shows that there was another success, so a clock that is set raises no alert.
watch_intervals() {
    local since seen last age
    since=$(uptime_seconds) seen=""
    while sleep $((BACKUP_INTERVAL < 60 ? 1 : BACKUP_INTERVAL / 60)) && has_parent; do
        last=$(stat --format=%Y -- "$BACKUP_DIR/last-success" 2>/dev/null)
        [[ $last == "$seen" ]] || since=$(uptime_seconds) seen=$last
        age=$(($(uptime_seconds) - since))
        ((age <= 2 * BACKUP_INTERVAL)) ||
            raise_alert interval-missed "no backup has succeeded for $age seconds; the interval is $BACKUP_INTERVAL seconds"
    done
}

# Processes that run beside the loop. They end with it: see end_tools.
start_watching() {
    set -m
    watch_intervals &
    if [[ -n $METRICS_PORT ]]; then
        socat "TCP-LISTEN:$METRICS_PORT,reuseaddr,fork" \
            "EXEC:$(dirname "$LIVE_COPY")/metrics.sh $BACKUP_DIR/metrics.prom" &
    fi
    set +m
}
