#!/usr/bin/env bash
# From a fresh Debian machine to a running scraper, in one command:
#
#   samples/run.sh [ARGUMENT...]     arguments go to the scraper, e.g. samples/run.sh https://example.org --depth 1
#
# Installs the Debian packages that are missing (with sudo if you are not root), builds the samples in Release mode into
# build/release, and runs build/release/samples/scraper. Without a URL that scrapes a small site it serves itself.
# Run it again at will: what is done is not done twice.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$top/tests/lib/packages.sh"

packages "${build_packages[@]}" libxml2-dev
need_compiler

# A folder that is configured already, with samples and perhaps with tests, stays as it is; ninja configures again if need
# be. One that somebody configured without samples gets them.
build=$top/build/release
if ! [ -e "$build/build.ninja" ]; then
    configure release -DEDDY_BUILD_SAMPLES=ON -DEDDY_BUILD_TESTS=OFF -DEDDY_TESTING=OFF -DEDDY_HTTP=ON
elif ! [ -w "$build" ] || ! grep -q '^EDDY_BUILD_SAMPLES:BOOL=ON' "$build/CMakeCache.txt" || ! grep -q '^EDDY_HTTP:[A-Z]*=ON' "$build/CMakeCache.txt"; then
    configure release -DEDDY_BUILD_SAMPLES=ON -DEDDY_HTTP=ON
fi
if [ -x "$build/samples/scraper" ]; then say "building what changed"; else say "building (a minute or two)"; fi
cmake --build "$build" --target samples || die "the build failed (the compiler's words are above)"

scraper=$build/samples/scraper
[ -x "$scraper" ] || die "the scraper was not built; what it lacks is said by: cmake --preset release"
say "running: build/release/samples/scraper${*:+ $*}"
exec "$scraper" "$@"
