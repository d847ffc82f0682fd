#!/bin/bash
# The entrypoint of an Azure Pipelines agent in a container.
#
# Fetches the agent that the organisation offers, registers it under the pod's
# name, lets it run one job and unregisters it on the way out. An agent whose
# name contains "template" stays registered: it makes the pool accept builds
# while no pod runs.
#
# Environment: AZP_URL; AZP_TOKEN_FILE or AZP_TOKEN; AZP_POOL; AZP_AGENT_NAME;
# AZP_WORK; TARGETARCH, the package's platform.
set -e

fail() {
  echo "error: $*" >&2
  exit 1
}

step() {
  printf '\033[1;36m%s\033[0m\n' "$*"
}

[ -n "$AZP_URL" ] || fail "missing AZP_URL environment variable"

if [ -z "$AZP_TOKEN_FILE" ]; then
  [ -n "$AZP_TOKEN" ] || fail "missing AZP_TOKEN environment variable"
  AZP_TOKEN_FILE=/azp/.token
  (umask 077 && printf '%s' "$AZP_TOKEN" > "$AZP_TOKEN_FILE")
fi
unset AZP_TOKEN

[ -z "$AZP_WORK" ] || mkdir -p "$AZP_WORK"

# Containers run as root, and the token must not become a capability of the agent.
export AGENT_ALLOW_RUNASROOT=1
export VSO_AGENT_IGNORE=AZP_TOKEN,AZP_TOKEN_FILE

token() {
  cat "$AZP_TOKEN_FILE"
}

# The service refuses to unregister an agent that runs a job: try until it has ended.
unregister() {
  [ -e config.sh ] || return 0
  step "Cleanup: unregistering the agent"
  until ./config.sh remove --unattended --auth PAT --token "$(token)"; do
    echo "Trying again in 30 seconds"
    sleep 30
  done
}

step "1. Looking up the agent package for $TARGETARCH"
packages=$(curl -LsS -u "user:$(token)" -H 'Accept: application/json' \
  "$AZP_URL/_apis/distributedtask/packages/agent?platform=$TARGETARCH&top=1")
package=$(jq -r '.value[0].downloadUrl // empty' <<< "$packages" 2> /dev/null) || true
[ -n "$package" ] || fail "no agent package found: is $AZP_URL right, and does it accept the token?"

# From here on every command that takes long runs in the background, since only `wait` lets a
# signal's trap run at once.
step "2. Fetching $package"
curl -LsS "$package" | tar -xz &
wait $!

source ./env.sh

step "3. Registering the agent"
./config.sh --unattended --acceptTeeEula --replace \
  --url "$AZP_URL" --auth PAT --token "$(token)" \
  --pool "${AZP_POOL:-Default}" --agent "${AZP_AGENT_NAME:-$(hostname)}" \
  --work "${AZP_WORK:-_work}" &
wait $!

if [[ "$AZP_AGENT_NAME" != *template* ]]; then
  echo "The agent is unregistered when this script ends"
  trap 'unregister; exit 0' EXIT
  trap 'unregister; exit 130' INT
  trap 'unregister; exit 143' TERM
fi

step "4. Running the agent for one job"
chmod +x ./run-docker.sh
./run-docker.sh "$@" --once &
wait $!
