#!/bin/bash
# action.yml runs this script: it writes a scenario with the two commands, and runs it. Inputs are passed in environment
# variables, so that no part of them is interpreted as a part of this script.
set -euo pipefail

if [ -z "$SCENARIO" ]; then
    if [ -z "$BACKUP" ] || [ -z "$RESTORE" ]; then
        echo "set both 'backup' and 'restore', or 'scenario'" >&2
        exit 2
    fi
    case "$BACKUP$RESTORE" in
    *"'''"*)
        echo "a command must not contain ''': put it into a script, and run the script as the command" >&2
        exit 2
        ;;
    esac
    # In the current directory, because paths in a scenario are relative to its directory.
    SCENARIO=backup-drill-trial.toml
    cat >"$SCENARIO" <<TOML
description = "The backup script of this repository."
# A comparison with a baseline needs six repetitions.
repetitions = 6
[dataset]
sizes = ["64MiB"]
[subject]
# So that checkpoints happen during a copy of a few milliseconds.
wal_autocheckpoint = 20
[workload]
rates = [50]
[trial]
reference_seconds = 2.0
tail_seconds = 1.0
deadline_seconds = 300.0
[[variants]]
name = "script"
strategy = "external"
[variants.settings]
backup = '''$BACKUP'''
restore = '''$RESTORE'''
TOML
    trap 'rm -f "$SCENARIO"' EXIT
fi

results="${RUNNER_TEMP:?}/backup-drill-results"
echo "results=$results" >>"$GITHUB_OUTPUT"
words=(--dir "$RUNNER_TEMP/backup-drill-work" --out "$results")
words+=(--junit "$RUNNER_TEMP/backup-drill-junit.xml" --benchmark-json "$RUNNER_TEMP/backup-drill-benchmark.json")
if [ -n "$SIZE" ]; then
    words+=(--size "$SIZE")
fi
if [ -n "$REPETITIONS" ]; then
    words+=(--repetitions "$REPETITIONS")
fi
if [ -n "$BASELINE" ]; then
    words+=(--baseline "$BASELINE" --confirm)
fi
if [ "$FAIL_ON_INCONCLUSIVE" = true ]; then
    words+=(--fail-on inconclusive)
fi
code=0
"$PROGRAM" run "$SCENARIO" "${words[@]}" || code=$?
for file in junit.xml benchmark.json; do
    if [ -f "$RUNNER_TEMP/backup-drill-$file" ]; then
        mv "$RUNNER_TEMP/backup-drill-$file" "$results/$file"
    fi
done
exit "$code"
