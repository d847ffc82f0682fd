#!/bin/bash
# Runs the agent in a container: again and again while it says that it was updated (3 and 4).

if [ "$(id -u)" -eq 0 ] && [ -z "$AGENT_ALLOW_RUNASROOT" ]; then
    echo "Must not run interactively with sudo"
    exit 1
fi

root="$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

as_service=(--startuptype service)
for argument in "$@"; do
    [ "${argument,,}" = "--once" ] && as_service=()
done

while true; do
    "$root/bin/Agent.Listener" run "${as_service[@]}" "$@"
    code=$?
    echo "Agent exit code $code"
    [ "$code" -eq 3 ] || [ "$code" -eq 4 ] || exit "$code"
    sleep 5
done
