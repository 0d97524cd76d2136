#!/usr/bin/env bash
# Tasks beside websocketpp's callbacks on one io_context.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program embed_websocketpp

run
expect_status 0
expect_in out '^seventeen$'
expect_in out '^the timer ticked while messages went to and fro$'
expect_in out '^hello, then closed with 1001$'
expect_in out '^0 connections are left$'
