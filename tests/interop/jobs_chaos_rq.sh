#!/usr/bin/env bash
# jobs_chaos.sh, with RQ's client and protocol.
EDDY_CHAOS_PROTOCOL=rq exec "$(dirname "${BASH_SOURCE[0]}")/jobs_chaos.sh" "$@"
