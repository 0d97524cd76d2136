#!/usr/bin/env bash
# Plain threads that call into a loop: values, errors, time limits, and what is left over in the end.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program loop_thread

run
expect_status 0
expect_in out '^20 threads were greeted 500 times$'
expect_in out '^never on more than 8 connections: true$'
expect_in out '^two at once: hello, hello$'
expect_in out '^nobody there: Connection refused$'
expect_in out '^no answer in time: given up$'
expect_in out '^what was left over has been cancelled$'
[ ! -s err ] || fail "it complains"
