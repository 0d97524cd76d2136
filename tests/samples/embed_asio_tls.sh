#!/usr/bin/env bash
# Tasks and asio::ssl on one io_context.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program embed_asio_tls

run
expect_status 0
expect_in out '^encrypted by TLSv1\.[23]$'
expect_in out '^seventeen has 9 letters$'
expect_in out '^both have said farewell$'
expect_in out '^refused: .*certificate verify failed'
