#!/usr/bin/env bash
# Tasks in an epoll loop of the program's own.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program embed_epoll

run
expect_status 0
expect_in out '^the task has slept$'
expect_in out "^the program's event brought 42\$"
