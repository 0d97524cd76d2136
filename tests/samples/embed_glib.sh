#!/usr/bin/env bash
# Tasks in GLib's main loop.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program embed_glib

run
expect_status 0
expect_in out '^hello from a task$'
expect_in out '^a worker says 42$'
expect_in out '^a timer has come$'
expect_in out "^GLib's own timer ran beside it\$"
