#!/usr/bin/env bash
# The download manager, on files of the HTTP service: in pieces and whole, again after an interruption, and what can go wrong.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program http_service
service=$program
program download
command -v curl >/dev/null || skip "there is no curl"
command -v sha256sum >/dev/null || skip "there is no sha256sum"

# start_service PORT: $service_pid, $base
start_service() {
    rm -f out.service
    "$service" --port "$1" --drain 0 >out.service 2>err.service </dev/null &
    service_pid=$!
    started+=("$service_pid")
    wait_for_line out.service '^READY$'
    base=http://127.0.0.1:$(sed -nE '1s/^PORT ([0-9]+)$/\1/p' out.service)
}
start_service 0
for n in 0 1 1000 70000 5000000; do
    curl -sS -o "whole.$n" "$base/bytes/$n" || fail "curl: $?"
done
sum() { sha256sum <"$1" | cut -d ' ' -f 1; }
expect_same() { cmp "$1" "$2" || fail "'$1' is not what the server has"; }
expect_no_parts() {
    local f
    for f in "${1:-.}"/*.part "${1:-.}"/*.info; do
        if [ -e "$f" ]; then fail "'$f' is left"; fi
    done
}

# Several at once, in pieces; the checksums are right.
mkdir files
run --directory files --piece 1000 --parallel 2 "$base/bytes/0" "$base/bytes/1" "$base/bytes/1000" "$base/bytes/70000" --sha256 "$(sum whole.70000 | tr a-f A-F)"
expect_status 0
for n in 0 1 1000 70000; do
    expect_same "files/$n" "whole.$n"
    expect_in out "^$(sum "whole.$n")  files/$n\$"
done
expect_no_parts files
[ "$(grep -c '"GET /bytes/70000 HTTP/1.1" 206' err.service)" = 70 ] || fail "70000 bytes did not come in 70 pieces"

# Ctrl-C leaves a part, and the next call goes on with it.
start --piece 1000 "$base/bytes/5000000"
for ((i = 0; i < 400; ++i)); do
    [ -s 5000000.part ] && break
    sleep 0.01
done
kill -INT "$pid"
finish
expect_status 130
expect_in out '^not finished  \./5000000$'
[ -e 5000000 ] && fail "a part has the name of the whole"
part=$(stat -c %s 5000000.part)
if [ "$part" -eq 0 ] || [ "$part" -ge 5000000 ]; then fail "there are $part bytes of 5000000"; fi
run "$base/bytes/5000000"
expect_status 0
expect_in out "^5000000: goes on at byte $part\$"
expect_same 5000000 whole.5000000
expect_no_parts

# A part of another version is not used; nor is that of another URL, nor one of which nothing is known.
remains() { # MARK
    head -c 500 /dev/zero >1000.part
    printf '%s\n%s\n' "$base/bytes/1000" "$1" >1000.part.info
}
remains '"other"'
run "$base/bytes/1000"
expect_status 0
expect_same 1000 whole.1000
remains '"other"' # and the new one is too large for one answer
run --piece 100 --max-whole 900 "$base/bytes/1000"
expect_status 0
expect_in out '^1000: has changed on the server; begins anew$'
expect_same 1000 whole.1000
remains '"bytes-1000"'
sed -i 's|/bytes/|/other/|' 1000.part.info
run "$base/bytes/1000"
expect_status 0
expect_same 1000 whole.1000
remains '"bytes-1000"'
rm 1000.part.info
run "$base/bytes/1000"
expect_status 0
expect_same 1000 whole.1000
# Complete, but for its name.
remains '"bytes-1000"'
cp whole.1000 1000.part
run "$base/bytes/1000"
expect_status 0
expect_in out '^1000: goes on at byte 1000$'
expect_same 1000 whole.1000
expect_no_parts

# What is wrong does not replace what was there.
# shellcheck disable=SC2210
echo old >70000
run "$base/bytes/70000" --sha256 "$(sum whole.1)"
expect_status 1
expect_in out "^70000: failed: its SHA-256 is $(sum whole.70000), expected $(sum whole.1)\$"
[ "$(cat 70000)" = old ] || fail "a wrong file has replaced the old one"
[ -s 70000.part ] && fail "a wrong file is kept"
rm -f 70000*

# A server without ranges.
head -c 50000 /dev/zero | tr '\0' x >note
curl -sS -X PUT --data-binary @note "$base/notes/long" || fail "curl: $?"
curl -sS -o long.whole "$base/notes/long"
run --piece 1000 "$base/notes/long"
expect_status 0
expect_same long long.whole
run --piece 1000 --max-whole 20000 "$base/notes/long" "$base/bytes/1"
expect_status 1
expect_in out '^long: failed: .*/notes/long sends it whole, and that is more than --max-whole 20000 bytes$'
expect_in out "^$(sum whole.1)  \./1\$" # one that fails concerns no other
expect_same long long.whole
rm -f long.part

# Errors are told with their names.
run "$base/nowhere"
expect_status 1
expect_in out "^nowhere: failed: $base/nowhere answered 404 Not Found\$"
expect_in out '^failed  \./nowhere$'
run --directory no/such/folder "$base/bytes/1"
expect_status 1
expect_in out '^1: failed: .*no/such/folder/1\.part.*No such file or directory'
if command -v flock >/dev/null; then
    : >1.part
    exec {held}<1.part
    flock -x "$held"
    run "$base/bytes/1"
    expect_status 1
    expect_in out '^1: failed: \./1\.part is being written by another download$'
    exec {held}<&-
fi
run --attempts 2 --pause 1 http://127.0.0.1:1/x
expect_status 1
expect_in out '^x: .*Connection refused.*; attempt 2 of 2 follows$'
expect_in out '^x: failed: .*Connection refused'

# A server that is away for a while.
port=${base##*:}
kill -TERM "$service_pid"
wait "$service_pid" 2>/dev/null
start --attempts 100 --pause 20 "$base/bytes/1000"
wait_for_line out '^1000: .*Connection refused.*; attempt 2 of 100 follows$'
start_service "$port"
finish
expect_status 0
expect_same 1000 whole.1000
rm -f ./*.part ./*.info

# On a terminal.
if command -v script >/dev/null; then
    script -qec "'$program' --piece 1000 --directory files '$base/bytes/5000000'" /dev/null >terminal </dev/null || fail "status $? on a terminal"
    expect_in terminal '5000000 +\[[#.]{24}\] +[0-9]+ % +[0-9.]+ MB/s'
    expect_in terminal "$(sum whole.5000000)  files/5000000"
    expect_same files/5000000 whole.5000000
fi

usage_error() {
    run "${@:2}"
    expect_status 2
    expect_in err "$1"
}
usage_error '^download: there is no URL$'
usage_error "^download: 'nonsense' is no URL and no option\$" nonsense
usage_error "^download: --parallel: 'many' is no number from 1 to 1000\$" --parallel many
usage_error "^download: --sha256: 'abc' is not 64 hexadecimal digits\$" "$base/x" --sha256 abc
usage_error 'would be one file$' "$base/a/x" "$base/b/x"
usage_error "^download: '--piece' needs a value" --piece
