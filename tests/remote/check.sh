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

# Killed with -9: within a second its workers and their server have gone.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$program" wait > "$folder/out" &
parent=$!
i=0
while [ "$(wc -l < "$folder/out")" -lt 3 ]; do
    i=$((i + 1))
    if [ $i -gt 300 ]; then
        echo "it does not start its workers" >&2
        kill -KILL $parent
        exit 1
    fi
    sleep 0.1
done
workers=$(tail -n +2 "$folder/out")
servers=$(for w in $workers; do ps -o ppid= -p "$w"; done | sort -u)
kill -KILL $parent
for pid in $workers $servers; do
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

# Started by hand with the mark, it says what that is.
if "$program" --eddy-fork-server 90 91 2> "$folder/err"; then
    echo "the mark without a server was accepted" >&2
    exit 1
fi
grep -q "is for programs that use a process_pool" "$folder/err"
