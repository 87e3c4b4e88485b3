#!/bin/sh
# Like the Node images' entrypoint: what is no command is an argument of node.
set -e

if [ "${1#-}" != "$1" ] || ! command -v "$1" >/dev/null; then
	set -- node "$@"
fi

exec "$@"
