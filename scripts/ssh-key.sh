#!/bin/sh
# In a workflow: lets ssh reach the cells with the key in SSH_KEY, and only hosts that SSH_KNOWN_HOSTS knows.
set -eu
[ -n "${SSH_KEY:-}" ] || exit 0
umask 077
mkdir -p ~/.ssh
printf '%s\n' "$SSH_KEY" >~/.ssh/id_ed25519
printf '%s\n' "${SSH_KNOWN_HOSTS:-}" >>~/.ssh/known_hosts
