#!/bin/sh
# The program eddy_remote: what it prints, and that none of its processes outlives it. $1: the program.
set -eu
program=$1

out=$("$program")
expected="main
2 12 text of a library 103, objects 2 of 2"
if [ "$out" != "$expected" ]; then
    printf 'expected:\n%s\ngot:\n%s\n' "$expected" "$out" >&2
    exit 1
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Starts it with the argument $1, and waits until it has printed $2 lines.
begin() {
    : > "$folder/out"
    "$program" "$1" > "$folder/out" &
    parent=$!
    i=0
    while [ "$(wc -l < "$folder/out")" -lt "$2" ]; do
        i=$((i + 1))
        if [ $i -gt 300 ]; then
            echo "it does not come to '$1'" >&2
            kill -KILL $parent
            exit 1
        fi
        sleep 0.1
    done
}
# Within seconds these processes have gone, or are zombies that nobody collects.
expect_gone() {
    for pid in "$@"; do
        i=0
        while state=$(ps -o stat= -p "$pid") && [ "${state#Z}" = "$state" ]; do
            i=$((i + 1))
            if [ $i -gt 50 ]; then
                echo "process $pid has outlived its program" >&2
                exit 1
            fi
            sleep 0.1
        done
    done
}

# Killed with -9: its workers, with and without a call, and their server go.
begin wait 4
workers=$(tail -n +2 "$folder/out")
servers=$(for w in $workers; do ps -o ppid= -p "$w"; done | sort -u)
if [ "$(echo "$servers" | wc -w)" -ne 1 ] || [ "$servers" -eq "$parent" ]; then
    echo "its workers are not children of one fork server" >&2
    exit 1
fi
kill -KILL $parent
expect_gone $workers $servers

# The same while the server is in a preload function that does not end.
begin preload 2
server=$(tail -n +2 "$folder/out")
kill -KILL $parent
expect_gone $server

# The server killed with -9, and the program right after it: nobody is there to collect the workers, which go all the same.
begin wait 4
workers=$(tail -n +2 "$folder/out")
server=$(ps -o ppid= -p "$(echo "$workers" | head -n 1)")
kill -KILL $server $parent
expect_gone $workers $server

# Started by hand with the mark, it says what that is.
if "$program" --eddy-fork-server 90 91 2> "$folder/err"; then
    echo "the mark without a server was accepted" >&2
    exit 1
fi
grep -q "is for programs that use a process_pool" "$folder/err"
