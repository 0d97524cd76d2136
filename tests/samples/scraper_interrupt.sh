#!/usr/bin/env bash
# Ctrl-C: once, it ends in good order; twice, it ends.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program scraper

# Paced so that it would take half a minute.
for signal in INT TERM; do
    start --demo --rate 10 --out pages.jsonl
    wait_for_line pages.jsonl '"url":"[^"]*/page/0"'
    since=$(now_ms)
    kill -"$signal" "$pid"
    finish
    expect_status $((128 + $(kill -l "$signal")))
    expect_within 4500 "$since"
    expect_in err '^scraper: interrupted; finishing what is being fetched'
    expect_in out '^  pages dropped when interrupted +[0-9]+$'
    expect_json_lines pages.jsonl
    expect_as_many_lines_as_pages pages.jsonl out
done

# Some pages never answer; it waits for them no longer than the grace period.
start --demo --timeout 60 --out pages.jsonl
wait_for_line pages.jsonl '"url":"[^"]*/truncated/1"'
since=$(now_ms)
kill -INT "$pid"
finish
expect_status 130
expect_within 5500 "$since"
expect_json_lines pages.jsonl
expect_as_many_lines_as_pages pages.jsonl out

# The second one ends it at once, by the signal itself.
start --demo --timeout 60 --out pages.jsonl
wait_for_line pages.jsonl '"url":"[^"]*/truncated/1"'
kill -INT "$pid"
wait_for_line err 'interrupted'
since=$(now_ms)
kill -INT "$pid"
finish
expect_status 130
expect_within 1000 "$since"
expect_json_lines pages.jsonl
