#!/usr/bin/env bash
# Tasks in GLib's main loop: many connections, a cancelled task, tasks left over in the end, and a loop that fails.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program embed_glib

run
expect_status 0
expect_in out '^hello from a worker$'
expect_in out '^a timer has come$'
expect_in out '^500 lines were echoed$'
expect_in out '^a task was cancelled while it read$'
expect_in out "^GLib's own timer ran beside it\$"
expect_in out '^tasks were left over, and have ended$'
[ ! -s err ] || fail "it complains"

# The exception goes round GLib's frames, not through them.
run --nested
expect_status 1
expect_in err '^embed_glib: run\(\) called on a thread that already runs a loop'
