#!/usr/bin/env bats
# Who is told what, and when; and that nothing is sent on a good day.

load helper

use_webhook() {
    make_curl
    export ALERT_WEBHOOK=https://alerts.example.org/topsecret
}

fail_once() {
    echo no database >"$DATABASE"
    SQLITE_DATABASE=$DATABASE run backup
    [ "$status" -eq 1 ]
}

recover() {
    rm -f "$DATABASE"
    make_database
    backup
}

metrics() {
    grep -v '^#' "$BACKUP_DIR/metrics.prom"
}

@test "no alert is sent on a good day" {
    use_webhook
    make_database
    backup
    backup
    [ ! -e "$REQUESTS" ]
}

@test "a failure is alerted once, and its end once" {
    use_webhook
    fail_once
    fail_once
    [ "$(requests '"state":"firing"')" -eq 1 ]
    recover
    backup
    [ "$(requests '"state":"resolved"')" -eq 1 ]
    [ "$(requests .)" -eq 2 ]
}

@test "the body of an alert is JSON with all that a receiver needs" {
    use_webhook
    fail_once
    body=$(cut -d ' ' -f 2- "$REQUESTS")
    [ "$(jq -r '[.schema, .version, .alert, .state, .directory] | join(" ")' <<<"$body")" = \
        "backup-sidecar-alert 1 backup-failed firing $BACKUP_DIR" ]
    [[ $(jq -r .message <<<"$body") == *back_up_sqlite* ]]
    [[ $(jq -r .at <<<"$body") == 20*Z ]]
}

@test "an alert that was not delivered is sent again" {
    use_webhook
    touch "$ROOT/requests.refuse"
    fail_once
    [[ $output == *"could not be delivered"* ]]
    rm "$ROOT/requests.refuse"
    fail_once
    [ "$(requests firing)" -eq 2 ]
    fail_once
    [ "$(requests firing)" -eq 2 ]
}

@test "an alert ends also if it could not be noted in the backup directory" {
    use_webhook
    ln -s "$ROOT/none/alert" "$BACKUP_DIR/.backup-sidecar-alert-backup-failed"
    echo no database >"$DATABASE"
    export SQLITE_DATABASE=$DATABASE
    BACKUP_MODE=loop BACKUP_INTERVAL=1 "$SIDECAR/backup.sh" 2>"$ROOT/log" 3>&- &
    loop=$!
    wait_until grep -q '"alert":"backup-failed","state":"firing"' "$REQUESTS"
    rm "$DATABASE"
    make_database
    wait_until grep -q '"alert":"backup-failed","state":"resolved"' "$REQUESTS"
    kill -TERM "$loop"
    wait_until is_gone "$loop"
    [ "$(requests '"alert":"backup-failed","state":"firing"')" -eq 1 ]
}

@test "an alert is in the log, also without a webhook" {
    fail_once
    [[ $output == *"ALERT backup-failed firing: "* ]]
}

@test "the address of the webhook is on no command line and in no environment" {
    use_webhook
    make_tool curl <<'TOOL'
tr '\0' ' ' <"/proc/$$/cmdline" >>"$REQUESTS"
env >>"$REQUESTS"
TOOL
    fail_once
    lacks topsecret "$REQUESTS"
}

@test "an address can be in a file" {
    make_curl
    echo https://alerts.example.org/filed >"$ROOT/address"
    export ALERT_WEBHOOK_FILE=$ROOT/address
    fail_once
    [ "$(requests 'example.org/filed {')" -eq 1 ]
}

@test "an address without a scheme is refused" {
    make_database
    ALERT_WEBHOOK=alerts.example.org assert_refused ALERT_WEBHOOK alerts.example.org
}

@test "a monitor is told the start, and the end or the failure" {
    make_curl
    export PING_URL=http://ping.example.org/id
    make_database
    backup
    fail_once
    [ "$(cut -d ' ' -f 1 "$REQUESTS" | sed 's,.*/id,,' | tr '\n' ' ')" = "/start  /start /fail " ]
}

@test "a disk that is nearly full is alerted, and the end of it" {
    use_webhook
    make_database
    make_tool df <<<'printf "   size     avail\n%s\n" "${SPACE:-100 5}"'
    export FREE_PERCENT_MIN=10
    backup
    [ "$(requests '"alert":"nearly-full","state":"firing"')" -eq 1 ]
    SPACE='100 10' backup
    [ "$(requests '"alert":"nearly-full","state":"resolved"')" -eq 1 ]
}

@test "a backup directory that cannot be written to is alerted, an overlapping run is not" {
    use_webhook
    make_database
    exec {lock}>"$BACKUP_DIR/.backup-sidecar.lock"
    flock "$lock"
    run backup
    [ "$status" -eq 3 ]
    [ ! -e "$REQUESTS" ]
    exec {lock}>&-
    rm "$BACKUP_DIR/.backup-sidecar.lock"
    mkdir "$BACKUP_DIR/.backup-sidecar.lock"
    run backup
    [ "$status" -eq 1 ]
    [ "$(requests '"alert":"backup-failed","state":"firing"')" -eq 1 ]
}

@test "a cycle that hangs is alerted as a missed interval" {
    use_webhook
    use_mysql
    make_tool mysqldump <<<'[[ $* == *--help* ]] || sleep 1000'
    BACKUP_MODE=loop BACKUP_INTERVAL=1 "$SIDECAR/backup.sh" 2>"$ROOT/log" 3>&- &
    loop=$!
    wait_until grep -q interval-missed "$ROOT/requests"
    kill -TERM "$loop"
    wait_until is_gone "$loop"
    [ "$(requests .)" -eq 1 ]
}

@test "the watch ends with the loop, also after SIGKILL" {
    make_database
    BACKUP_MODE=loop BACKUP_INTERVAL=1 "$SIDECAR/backup.sh" 2>"$ROOT/log" 3>&- &
    loop=$!
    wait_until test -e "$BACKUP_DIR/metrics.prom"
    # The watch is its child process that is a shell.
    watch=$(grep -lsx "PPid:.$loop" /proc/[0-9]*/status | xargs grep -lsx 'Name:.bash' | head -n 1 | tr -cd 0-9)
    [ -n "$watch" ]
    kill -KILL "$loop"
    wait_until is_gone "$watch"
}

@test "the metrics tell the state after a success" {
    make_database
    backup
    metrics >"$ROOT/metrics"
    grep -qx 'backup_sidecar_cycles_total{result="success"} 1' "$ROOT/metrics"
    grep -qx 'backup_sidecar_backups{kind="sqlite"} 1' "$ROOT/metrics"
    grep -qx "backup_sidecar_newest_bytes{kind=\"sqlite\"} $(stat --format=%s "$BACKUP_DIR/$(artifacts)")" "$ROOT/metrics"
    grep -qE 'backup_sidecar_last_success_timestamp_seconds [0-9]{10}' "$ROOT/metrics"
    grep -qx 'backup_sidecar_alert_firing{alert="backup-failed"} 0' "$ROOT/metrics"
    lacks verified_timestamp_seconds "$ROOT/metrics"
}

@test "the metrics tell the state after a failure" {
    fail_once
    metrics >"$ROOT/metrics"
    grep -qx 'backup_sidecar_cycles_total{result="failure"} 1' "$ROOT/metrics"
    grep -qx 'backup_sidecar_alert_firing{alert="backup-failed"} 1' "$ROOT/metrics"
}

@test "the metrics are served over HTTP" {
    command -v socat >/dev/null || skip "socat is not installed"
    make_database
    export METRICS_PORT=$((20000 + RANDOM % 20000))
    BACKUP_MODE=loop BACKUP_INTERVAL=100 "$SIDECAR/backup.sh" 2>"$ROOT/log" 3>&- &
    loop=$!
    wait_until test -e "$BACKUP_DIR/metrics.prom"
    exec {connection}<>"/dev/tcp/127.0.0.1/$METRICS_PORT"
    printf 'GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n' >&"$connection"
    answer=$(cat <&"$connection")
    exec {connection}>&-
    kill -TERM "$loop"
    wait_until is_gone "$loop"
    [[ $answer == "HTTP/1.1 200 OK"* ]]
    [[ $answer == *'backup_sidecar_cycles_total{result="success"} 1'* ]]
}

@test "only what failed is tried again" {
    make_database
    make_mysqldump
    make_tool mysqldump <<'TOOL'
[[ $* == *--no-defaults* ]] && exit 0
echo attempt >>"$RECORDS/attempts"
(($(wc -l <"$RECORDS/attempts") >= 3)) && echo '-- Dump completed'
TOOL
    make_tool sleep <<<'echo "$1" >>"$RECORDS/pauses"'
    BACKUP_ATTEMPTS=3 RETRY_SECONDS=10 backup
    [ "$(wc -l <"$RECORDS/attempts")" -eq 3 ]
    [ "$(artifacts | grep -c ^sqlite)" -eq 1 ]
    [ "$(artifacts | grep -c ^mysql)" -eq 1 ]
    # Between half and one and a half of 10 s, then of 20 s.
    mapfile -t pauses <"$RECORDS/pauses"
    ((${pauses[0]%.*} >= 5 && ${pauses[0]%.*} < 15 && ${pauses[1]%.*} >= 10 && ${pauses[1]%.*} < 30))
}
