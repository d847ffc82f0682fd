#!/bin/bash
# Runs the agent, again and again while it says that it was updated under --once (4).

if [ "$(id -u)" -eq 0 ] && [ -z "$AGENT_ALLOW_RUNASROOT" ]; then
    echo "Must not run interactively with sudo"
    exit 1
fi

root="$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

while true; do
    "$root/bin/Agent.Listener" run "$@"
    code=$?
    [ "$code" -eq 4 ] || exit "$code"
    sleep 5
done
