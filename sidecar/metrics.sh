#!/usr/bin/env bash
# Answers one HTTP request, which comes on standard input, with the file of metrics. alerts.sh starts it for each
# connection. Every path gives the metrics.

TIMEOUT_SECONDS=5

while IFS= read -r -t "$TIMEOUT_SECONDS" line && [[ -n ${line%$'\r'} ]]; do
    :
done
if metrics=$(cat -- "$1" 2>/dev/null); then
    printf 'HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n\r\n%s\n' "$metrics"
else
    printf 'HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\nno cycle has ended yet\n'
fi
