#!/usr/bin/env bash
# word_count: good files are counted, whatever the bad ones do to their readers.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program word_count

echo 'One two, two. Three three THREE' >a
echo 'three four four; four four' >b
echo 'CRASH of the reader' >crash
echo 'HANG of the reader' >hang
awk 'BEGIN { for (i = 0; i < 2000000; ++i) print "word" i }' >large

run a b
expect_status 0
printf '      4 four\n      4 three\n      2 two\n      1 one\n2 files counted, 0 not\n' >expected
cmp -s expected out || fail "the table of two good files is another"

run --workers 2 --seconds 2 a crash hang missing b
expect_status 1
printf '      4 four\n      4 three\n      2 two\n      1 one\n2 files counted, 3 not\n' >expected
cmp -s expected out || fail "bad files change the table of the good ones"
expect_in err '^crash: its reader died: killed by signal 6 \(Aborted\)'
expect_in err '^hang: took too long$'
expect_in err '^missing: cannot be opened$'

run --workers 2 --seconds 60 --memory 64 large a # its time is not what ends it, on a slow machine neither
expect_status 1
expect_in err '^large: (takes too much memory|its reader died: .*)$' # the latter with a sanitizer's allocator
expect_in out '^1 files counted, 1 not$'
