#!/bin/bash
# Registers the agent, or unregisters it: ./config.sh [remove] [flags]

if [ "$(id -u)" -eq 0 ] && [ -z "$AGENT_ALLOW_RUNASROOT" ]; then
    echo "Must not run with sudo"
    exit 1
fi

cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

if [ "$1" = "remove" ]; then
    ./bin/Agent.Listener "$@"
else
    ./bin/Agent.Listener configure "$@"
fi
