#!/bin/sh
# Runs a command in the newest local image whose repository has this name, such as mysql, with the network and the files
# of the trial, so that a released version of a tool can be put on trial without installing it.
# Used in scenarios/shells.toml and scenarios/dump-clients.toml.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: $0 NAME COMMAND [ARGUMENT]..." >&2
    exit 2
fi
# The official image, or the one that 'cargo xtask setup' has built.
image=$(docker images --quiet --filter "reference=$1" --filter "reference=backup-drill/$1" | head -n 1)
if [ -z "$image" ]; then
    echo "there is no image of $1: 'cargo xtask setup' builds it, and 'docker pull $1' gets the official one" >&2
    exit 1
fi
shift
set -- "$image" "$@"
# The directories of the trial have the same paths in the container.
for path in "${DRILL_SOURCE:-}" "${DRILL_DESTINATION:-}" "${DRILL_ARTIFACT:-}" "${DRILL_TARGET:-}" \
    "${DRILL_MYSQL_DEFAULTS_FILE:-}"; do
    [ -z "$path" ] || set -- --volume "$(dirname "$path"):$(dirname "$path")" "$@"
done
exec docker run --rm --interactive --network host --user "$(id -u):$(id -g)" "$@"
