#!/usr/bin/env bash
# Tasks and Asio's callbacks on one io_context.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program embed_asio

run
expect_status 0
expect_in out '^connected to 127\.0\.0\.1$'
expect_in out '^seventeen has 9 letters$'
expect_in out '^the clock ticked while the task slept$'
expect_in out '^nothing to read: cancelled$'
expect_in out '^again has 5 letters$'
for degrees in 21.5 22.5 23.5; do expect_in out "^the thermometer says $degrees\$"; done
expect_in out '^the thermometer is silent: cancelled$'
expect_in out '^the timer is far: cancelled$'
