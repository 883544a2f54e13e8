#!/usr/bin/env bash
# Builds the console into web/dist, unless it is newer than all it is made of. Without --must a build that is not
# possible, or that a slow network holds up, is only said: everything but the console works without it.
#
#   tools/console.sh [--must | --possible]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../web"

# How long "make run" waits for packages: the first message of a newcomer is to come within a minute.
patience=25

without() {
	echo "Without the console: $1" >&2
	exit 1
}

command -v npm >/dev/null || without "npm is not on the PATH. Install Node 20 and run make console build."
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
	without "it takes Node 20.19 or later; this is $(node --version)."
if [[ ${1:-} == --possible ]]; then
	exit 0
fi
if [[ -e dist/index.html && -z $(find src public index.html package.json package-lock.json tsconfig.json vite.config.ts ../openapi/openapi.json -newer dist/index.html -print -quit) ]]; then
	exit 0
fi

limit=()
if [[ ${1:-} != --must ]]; then
	limit=(timeout "$patience")
fi
if [[ ! -e node_modules/.package-lock.json || package-lock.json -nt node_modules/.package-lock.json ]]; then
	echo "Fetching what the console is built with" >&2
	"${limit[@]}" npm ci --silent >&2 || without "its packages could not be fetched in time. Run make console build to try again."
fi
echo "Building the console" >&2
npm run --silent build >&2 || without "its build has failed."
