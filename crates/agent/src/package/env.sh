#!/bin/bash
# Notes the environment that jobs get. Sourced by scripts that stop at the first failure.

echo "$PATH" > .path
: > .env
for name in LANG JAVA_HOME ANT_HOME M2_HOME ANDROID_HOME; do
    if [ -n "${!name}" ]; then
        echo "$name=${!name}" >> .env
    fi
done
true
