#!/usr/bin/env bash
# The HTTP server, used by curl: connections that are kept, uploads with a length, in chunks and after "100 Continue", parts, HEAD,
# HTTP/1.0, and several at a time.
# shellcheck source=tests/lib/http_service.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/http_service.sh"
needs curl
start_http_service

# get EXPECTED FORMAT CURL-ARGUMENT...: what curl says of the request by its --write-out; the body is in `body`
get() {
    local expected=$1 format=$2 got
    shift 2
    got=$(curl -sS --max-time 20 -o body -D head -w "$format" "$@") || fail "curl $*: $?"
    [ "$got" = "$expected" ] || fail "curl $*: '$got' instead of '$expected'"
}

# Three requests on one connection, of which the last body is asked for in vain.
curl -sS --max-time 20 -w '%{http_code} %{num_connects}\n' -o body "$base/hello/a" --next -sS -w '%{http_code} %{num_connects}\n' \
    -o body "$base/nowhere" --next -sS -w '%{http_code} %{num_connects}\n' -o body --head "$base/bytes/100000" >kept || fail "curl: $?"
[ "$(cat kept)" = $'200 1\n404 0\n200 0' ] || fail "the connection was not kept: $(cat kept)"
expect_in body '^Content-Length: 100000'

# Uploads. What is small goes with the head, what is large waits for "100 Continue", what is of unknown length goes in chunks.
head -c 30000 /dev/urandom | base64 -w 0 >upload
get 201 '%{http_code}' -T upload "$base/notes/whole"
get 204 '%{http_code}' -T upload -H 'Expect: 100-continue' "$base/notes/whole"
expect_in head '^HTTP/1\.1 100 Continue'
get 201 '%{http_code}' -T - "$base/notes/chunked" <upload
for note in whole chunked; do
    get 200 '%{http_code}' "$base/notes/$note"
    [ "$(cat body)" = "{\"note\":\"$(cat upload)\"}" ] || fail "the note '$note' is not what was sent"
done
# One that is too large is refused before it is sent.
head -c 9000000 /dev/zero >large
get '413 0' '%{http_code} %{size_upload}' -T large -H 'Expect: 100-continue' "$base/notes/large"

# Parts, a download that is resumed, no body where none belongs.
get 200 '%{http_code}' "$base/bytes/100000"
mv body whole
get '206 100' '%{http_code} %{size_download}' -r 100-199 "$base/bytes/100000"
cmp body <(tail -c +101 whole | head -c 100) || fail "the part is another one"
head -c 60000 whole >resumed
curl -sS --max-time 20 -C - -o resumed "$base/bytes/100000" || fail "curl -C -: $?"
cmp whole resumed || fail "the resumed download differs"
get '200 0' '%{http_code} %{size_download}' --head "$base/bytes/100000"
get '200 1.1' '%{http_code} %{http_version}' --http1.0 "$base/hello/a"
expect_in head '^Connection: close'

# Twenty at a time.
for i in $(seq 40); do printf 'url = "%s/bytes/5000"\noutput = "parallel.%d"\n' "$base" "$i"; done >config
curl -sS --max-time 20 --parallel --parallel-max 20 --config config || fail "curl --parallel: $?"
for i in $(seq 40); do cmp "parallel.$i" <(head -c 5000 whole) || fail "download $i differs"; done

stop_http_service
