#!/bin/sh
# Installs schemathesis for the test of the contract into a virtual environment of this folder, where it is missing.
set -eu
cd "$(dirname "$0")"

python3 -c 'import ensurepip, venv' 2>/dev/null || if command -v apt-get >/dev/null 2>&1; then
	root=''
	[ "$(id -u)" = 0 ] || root='sudo'
	$root env DEBIAN_FRONTEND=noninteractive apt-get update -q
	$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3 python3-venv
elif command -v brew >/dev/null 2>&1; then
	brew install python
else
	echo 'error: not installed: python3 with venv; install it, and run this again' >&2
	exit 1
fi

# Once, until the list of packages changes.
if ! cmp -s requirements.txt .venv/.installed; then
	rm -rf .venv
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	cp requirements.txt .venv/.installed
fi
