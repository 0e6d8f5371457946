#!/bin/sh
# Gets promtool, which checks metrics, alerts and their tests, where it is missing. It is taken out of Debian's package
# without installing that: the package would start a Prometheus.
set -eu
cd "$(dirname "$0")"

! command -v promtool >/dev/null 2>&1 || exit 0
[ ! -x bin/promtool ] || exit 0

if command -v apt-get >/dev/null 2>&1; then
	folder="$(mktemp -d)"
	trap 'rm -rf "$folder"' EXIT
	fetch() { (cd "$folder" && apt-get download -q prometheus); }
	if ! fetch; then
		root=''
		[ "$(id -u)" = 0 ] || root='sudo'
		$root apt-get update -q
		fetch
	fi
	dpkg-deb -x "$folder"/prometheus_*.deb "$folder/package"
	mkdir -p bin
	mv "$folder/package/usr/bin/promtool" bin/promtool
elif command -v brew >/dev/null 2>&1; then
	brew install prometheus
else
	echo 'error: not installed: promtool, which comes with Prometheus; install it, and run this again' >&2
	exit 1
fi
