#!/usr/bin/env bash
# What can go wrong with the command line and the output: a message that names the thing, an exit status, and no hang.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program scraper

# expect_failure STATUS REGEX ARGUMENT...
expect_failure() {
    local want=$1 message=$2 since
    shift 2
    since=$(now_ms)
    run "$@"
    expect_status "$want"
    expect_within 5000 "$since"
    expect_in err "$message"
}

expect_failure 1 '^scraper: cannot write to /dev/full: No space left on device$' --demo --out /dev/full
[ "$(wc -l <err)" = 1 ] || fail "more than one message"
expect_failure 1 '^scraper: cannot open /no/such/folder/x: No such file or directory$' --demo --out /no/such/folder/x
expect_failure 1 '^scraper: cannot open \.: Is a directory$' --demo --out .
if [ "$(id -u)" != 0 ]; then
    touch locked && chmod 000 locked
    expect_failure 1 '^scraper: cannot open locked: Permission denied$' --demo --out locked
fi

expect_failure 2 '^scraper: there is no option --frobnicate$' --frobnicate
expect_failure 2 "^scraper: --concurrency: 'many' is no whole number" --concurrency many
expect_failure 2 '^scraper: --out needs a value$' --out
expect_failure 2 '^scraper: --demo ' --demo http://example.org/

# A file system that fills up on the way. (Only root may mount one.)
if mkdir small && mount -t tmpfs -o size=64k tmpfs small 2>/dev/null; then
    expect_failure 1 '^scraper: cannot write to small/pages: No space left on device$' --demo --out small/pages
    expect_not_in err 'interrupted'
    umount small
fi

# Standard output that is full, and one that nobody reads any more.
"$program" --demo >/dev/full 2>err </dev/null
status=$?
expect_status 1
expect_in err '^scraper: cannot write to standard output: No space left on device$'
"$program" --demo 2>err </dev/null | head -n 1 >out
expect_in out '^\{"url":.*\}$'
expect_in err '^scraper: cannot write to standard output: Broken pipe$'

# Addresses: each is reported, none keeps the others from being tried.
expect_failure 1 "^scraper: 'nonsense' is not a web address: " nonsense http:// http://127.0.0.1:1/ http://no-such-host.invalid/ --retries 0 --out pages.jsonl
expect_in err "^scraper: 'http://' is not a web address: "
expect_in err '^scraper: http://127\.0\.0\.1:1/: .*Connection refused'
expect_in err '^scraper: http://no-such-host\.invalid/: '
expect_in out '^  malformed address +2$'
expect_in out '^  refused +1$'
expect_json_lines pages.jsonl
expect_as_many_lines_as_pages pages.jsonl out

run --help
expect_status 0
expect_in out '^usage: scraper '
