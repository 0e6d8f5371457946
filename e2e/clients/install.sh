#!/bin/sh
# Installs what the tests of clients need besides the shop, where it is missing: Node with the packages of this
# folder, Chromium, jq, and websocat. Like `shopctl`, with apt-get or brew; elsewhere it says what to install.
set -eu
cd "$(dirname "$0")"

have() { command -v "$1" >/dev/null 2>&1; }

install() {
	if have apt-get; then
		root=''
		[ "$(id -u)" = 0 ] || root='sudo'
		$root env DEBIAN_FRONTEND=noninteractive apt-get update -q
		$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
	elif have brew; then
		brew install "$@"
	else
		echo "error: not installed: $*; install it, and run this again" >&2
		exit 1
	fi
}

{ have node && have npm; } || if have apt-get; then install nodejs npm; else install node; fi
have chromium || have chromium-browser || have google-chrome || [ -n "${CHROMIUM:-}" ] || install chromium
have jq || install jq
# Without TLS, which the tests do not need and which takes OpenSSL's headers to build.
have websocat || cargo install --locked --no-default-features --version 1.14.1 websocat

# Once, until the list of packages changes.
if ! cmp -s package-lock.json node_modules/.installed; then
	npm ci --no-audit --no-fund --ignore-scripts
	cp package-lock.json node_modules/.installed
fi
