#!/usr/bin/env bash
# The scraper on its embedded site: everything is found, and it takes no longer than it may.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program scraper

since=$(now_ms)
run --out pages.jsonl
expect_status 0
expect_within 15000 "$since"
[ "$(head -n 1 out | grep -cE '^[0-9]+ pages in [0-9]+\.[0-9] s$')" = 1 ] || fail "the table does not start with 'N pages in S s'"
expect_json_lines pages.jsonl
expect_as_many_lines_as_pages pages.jsonl out
[ ! -s err ] || fail "there are messages"

for row in '200 +3[0-9][0-9]' '404 +5' '500 +3' 'no answer +9' 'timeout +3' 'truncated +3' 'too large +1' 'disconnected +1' \
    'bad HTTP +1' 'redirect loop +1' 'bad redirect +1' 'pages robots.txt disallows +2' 'bytes +[0-9.]+ kB' \
    'latency p50 .* ms' 'latency p95 .* ms' 'loop lag p99 .* ms' 'pages/s +[0-9.]+'; do
    expect_in out "^  $row\$"
done

# Flaky pages come in the end, text arrives in whatever charset, and a closed part stays closed.
[ "$(grep -cE '/flaky/[123]","status":200' pages.jsonl)" = 3 ] || fail "not all flaky pages came in the end"
[ "$(grep -cE '/latin1/[a-z]+","status":200.*"title":"Café"' pages.jsonl)" = 3 ] || fail "Latin-1 was not read"
expect_in pages.jsonl '/private/open","status":200'
expect_not_in pages.jsonl '"url":"[^"]*/(private/[12]|trap)"'

# The order of pages is a matter of timing, but which pages there are is not.
list() { sed -E 's|"http://127\.0\.0\.1:[0-9]+([^"]*)".*|\1|' "$1" | sort; }
list pages.jsonl >first
run --demo --out pages.jsonl --concurrency 5
expect_status 0
list pages.jsonl | diff first - || fail "a second run found other pages"

# Without --out the pages go to standard output, here with the table behind them.
run
expect_status 0
grep '^{' out >pages.jsonl
expect_json_lines pages.jsonl
expect_as_many_lines_as_pages pages.jsonl out

# On a terminal: a progress line and the table, and no pages.
if command -v script >/dev/null; then
    script -qec "'$program'" /dev/null >terminal </dev/null || fail "status $? on a terminal"
    expect_in terminal '[0-9]+ pages, [0-9]+ waiting, [0-9]+ running, [0-9]+/s, [0-9]+ errors'
    expect_in terminal '^.*[0-9]+ pages in [0-9]+\.[0-9] s.?$'
    expect_not_in terminal '"url":'
fi
