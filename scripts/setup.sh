#!/bin/sh
# Makes .venv with exactly what requirements.lock says, and the `hosting` command in it. Does nothing where that is done.
set -eu
cd "$(dirname "$0")/.."
stamp=.venv/.synced
wanted=$(cat requirements.lock bootstrap.lock pyproject.toml | sha256sum)
if [ -x .venv/bin/python ] && [ "$(cat $stamp 2>/dev/null)" = "$wanted" ]; then
	exit 0
fi
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
	echo "setup: Python 3.11 or newer is needed, $python is $("$python" --version 2>&1). Fix: PYTHON=/path/to/python3.11 make ..." >&2
	exit 1
}
if [ ! -x .venv/bin/pip ]; then
	echo "setup: making a virtual environment in .venv"
	rm -rf .venv
	if ! "$python" -m venv .venv >/dev/null 2>&1; then
		rm -rf .venv
		# Debian's Python has the module venv in a package of its own.
		if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
			echo "setup: installing Debian's python3-venv"
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
		fi
		"$python" -m venv .venv
	fi
fi
echo "setup: installing the locked Python packages (about a minute the first time)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r bootstrap.lock
.venv/bin/uv pip sync --quiet --require-hashes --python .venv/bin/python requirements.lock
.venv/bin/uv pip install --quiet --no-deps --no-build-isolation --python .venv/bin/python -e .
echo "$wanted" >$stamp
