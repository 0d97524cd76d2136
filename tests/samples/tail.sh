#!/usr/bin/env bash
# tail: the end of files, and what becomes of them.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program tail

# shows LINE...: all that has been shown since the start is this, soon
shows() {
    printf '%s\n' "$@" >expected
    shows_expected
}

shows_expected() {
    local i
    for ((i = 0; i < 400; ++i)); do # 20 s
        if cmp -s out expected; then return; fi
        sleep 0.05
    done
    diff expected out >&2
    fail "that is not what was to be shown"
}

# One file: its last lines, then each line when it is complete.
seq 100 >log
start -n 3 log
shows 98 99 100
printf '101\n10' >>log
shows 98 99 100 101
printf '2\n103\n' >>log
shows 98 99 100 101 102 103
seq 104 50000 >>log # more than is read at once
seq 98 50000 >numbers
mapfile -t numbers <numbers
shows "${numbers[@]}"

# Cut short, and written anew.
printf 'new\n' >log
wait_for_line err "^tail: 'log' was cut short$"
shows "${numbers[@]}" new

# Replaced, as logrotate does it: what still goes to the old file is not lost.
exec {old}>>log
mv log log.1
wait_for_line err "^tail: 'log' cannot be followed: No such file or directory; waiting for it$"
printf 'late\nunfinished' >&"$old"
printf 'first\n' >log.new
mv log.new log
wait_for_line err "^tail: 'log' was replaced; following the new one$"
exec {old}>&-
shows "${numbers[@]}" new late unfinishedfirst
printf 'second\n' >>log
shows "${numbers[@]}" new late unfinishedfirst second

# What is not complete is not lost at the end.
printf 'third\nlast' >>log
shows "${numbers[@]}" new late unfinishedfirst second third
kill -INT "$pid"
finish
expect_status 130
tail -n 1 out >last
grep -qx 'last' last || fail "the incomplete line was lost: $(cat last)"

# Several files, one of which comes later, by way of a link to another directory, one that is empty, and one that has no newline.
mkdir elsewhere
printf 'a1\na2\n' >a
printf 'b1\nb2' >b
: >empty
start -n 1 a later empty b
wait_for_line err "^tail: 'later' cannot be followed: No such file or directory; waiting for it$"
printf '==> a <==\na2\n\n==> b <==\nb2' >expected
shows_expected
printf 'l1\nl2\n' >elsewhere/target
ln -s elsewhere/target later
wait_for_line err "^tail: 'later' has appeared$"
shows '==> a <==' a2 '' '==> b <==' b2 '' '==> later <==' l1 l2
printf 'l3\n' >>elsewhere/target
shows '==> a <==' a2 '' '==> b <==' b2 '' '==> later <==' l1 l2 l3
printf 'a3\n' >>a
shows '==> a <==' a2 '' '==> b <==' b2 '' '==> later <==' l1 l2 l3 '' '==> a <==' a3
printf 'e1\n' >>empty
shows '==> a <==' a2 '' '==> b <==' b2 '' '==> later <==' l1 l2 l3 '' '==> a <==' a3 '' '==> empty <==' e1
kill -TERM "$pid"
finish
expect_status 143

# Without -n: ten lines; with -n 0: only what comes. A line of any length.
seq 20 >twenty
start twenty
shows 11 12 13 14 15 16 17 18 19 20
kill -INT "$pid"
finish
start -n 0 twenty
for ((i = 0; i < 400; ++i)); do # until it is there
    ! grep -q tick out || break
    sleep 0.05
    echo tick >>twenty
done
expect_in out '^tick$'
expect_not_in out '[0-9]'
head -c 300000 /dev/zero | tr '\0' x >>twenty
echo >>twenty
for ((i = 0; i < 400; ++i)); do
    [ "$(tail -n 1 out | wc -c)" != 300001 ] || break
    sleep 0.05
done
[ "$(tail -n 1 out | wc -c)" = 300001 ] || fail "the long line was not shown"
kill -INT "$pid"
finish

# The directory goes away.
mkdir gone && printf 'x\n' >gone/file
start gone/file
shows x
rm -r gone
finish
expect_status 1
expect_in err "^tail: the directory '.*/gone' is gone; nothing in it is followed any more$"
expect_in err '^tail: nothing is left to follow$'

# Nobody reads any more; nowhere to write to; wrong arguments.
mkfifo pipe
exec {reader}<>pipe
exec {writer}>pipe {reader}<&-
"$program" a </dev/null 1>&"$writer" 2>err
status=$?
expect_status 1
expect_in err '^tail: cannot write to standard output: Broken pipe$'
"$program" a >/dev/full 2>err </dev/null
status=$?
expect_status 1
expect_in err '^tail: cannot write to standard output: No space left on device$'
run no/such/file
expect_status 1
expect_in err '^tail: .*no.*No such file or directory'
run -n many a
expect_status 2
expect_in err "^tail: -n: 'many' is no number of lines$"
run
expect_status 2
expect_in err '^tail: there is no file to follow$'
run -x
expect_status 2
