#!/usr/bin/env bash
# The HTTP server over TLS, used by curl and by `openssl s_client`: who is trusted, what is spoken inside, which versions, certificates
# of clients, and the end.
# shellcheck source=tests/lib/http_service.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/http_service.sh"
needs curl
needs openssl
openssl version | grep -q '^OpenSSL [3-9]' || skip "this openssl is $(openssl version)"

# --- certificates

# key_and_request NAME: NAME.key, NAME.csr
key_and_request() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
}
# signed NAME BY EXTENSIONS
signed() {
    key_and_request "$1" && printf '%b' "$3" >"$1.ext" &&
        openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 1 -extfile "$1.ext" -out "$1.pem"
}
# authority NAME: one that vouches for itself
authority() {
    key_and_request "$1" && printf 'basicConstraints=critical,CA:TRUE\n' >"$1.ext" &&
        openssl x509 -req -in "$1.csr" -signkey "$1.key" -days 1 -extfile "$1.ext" -out "$1.pem"
}
make_certificates() {
    authority root && authority stranger && authority people &&
        signed middle root 'basicConstraints=critical,CA:TRUE\n' &&
        signed localhost middle 'basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost\n' &&
        signed amy people 'basicConstraints=CA:FALSE\n' &&
        signed mallory stranger 'basicConstraints=CA:FALSE\n' &&
        cat localhost.pem middle.pem >chain.pem
}
make_certificates >certificates.log 2>&1 || fail "openssl cannot make the certificates: $(cat certificates.log)"

# --- what the clients say

start_https_service() {
    start_http_service --tls chain.pem localhost.key "$@"
    base=https://localhost:$port
}
# get EXPECTED FORMAT CURL-ARGUMENT...: what curl says of the request by its --write-out; the body is in `body`
get() {
    local expected=$1 format=$2 got
    shift 2
    got=$(to_service --cacert root.pem -o body -D head -w "$format" "$@") || fail "curl $*: $?"
    [ "$got" = "$expected" ] || fail "curl $*: '$got' instead of '$expected'"
}
# The name stands for the address where the service listens, whatever else it may stand for here.
to_service() { curl -sS --max-time 20 --resolve "localhost:$port:127.0.0.1" "$@"; }
# refused EXIT-STATUS CURL-ARGUMENT...: what curl says is in `said`
refused() {
    local expected=$1 got
    shift
    to_service -o body "$@" >said 2>&1
    got=$?
    [[ " $expected " == *" $got "* ]] || fail "curl $*: exit status $got instead of $expected: $(cat said)"
}
# s_client REQUEST ARGUMENT...: until the server ends the connection; all it says is in `said`
s_client() {
    local request=$1
    shift
    printf '%b' "$request" | timeout 20 openssl s_client -connect "127.0.0.1:$port" -servername localhost -CAfile root.pem \
        -verify_return_error -verify_hostname localhost -ign_eof "$@" >said 2>&1
}
last_request='GET /hello/amy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'

# --- a certificate of ours
program http_service
run --port 0 --tls none.pem none.key
if grep -q 'built without eddy::tls' err; then skip "there is no TLS in http_service"; fi
expect_status 1
expect_in err 'none\.pem'
start_https_service

get '200 0' '%{http_code} %{ssl_verify_result}' "$base/hello/amy"
[ "$(cat body)" = '{"hello":"amy"}' ] || fail "the body is '$(cat body)'"
wait_for_line err '^127\.0\.0\.1 - - \[[^]]+\] "GET /hello/amy HTTP/1\.1" 200 '
refused 60 --cacert stranger.pem "$base/"             # who is that?
refused 60 --cacert root.pem "https://127.0.0.1:$port/" # that is not the name in the certificate
refused '52 56' "http://127.0.0.1:$port/"             # no TLS: the connection is closed, or reset
get 200 '%{http_code}' -k "https://127.0.0.1:$port/healthz"

# HTTP/2 is not offered, and not picked.
get '200 1.1' '%{http_code} %{http_version}' --http2 "$base/"
s_client "$last_request" -alpn h2,http/1.1 || fail "s_client: $?: $(cat said)"
expect_in said '^ALPN protocol: http/1\.1$'
s_client '' -alpn h2 && fail "a client that speaks only HTTP/2 got in"
expect_in said 'alert no application protocol'

# Connections are kept; bodies go both ways, large ones in pieces.
to_service --cacert root.pem -w '%{http_code} %{num_connects}\n' -o body "$base/hello/a" --next -sS --cacert root.pem \
    -w '%{http_code} %{num_connects}\n' -o body "$base/bytes/10" >kept || fail "curl: $?"
[ "$(cat kept)" = $'200 1\n200 0' ] || fail "the connection was not kept: $(cat kept)"
get '200 3000000' '%{http_code} %{size_download}' "$base/bytes/3000000"
mv body whole
get '206 2000000' '%{http_code} %{size_download}' -r 1000000- "$base/bytes/3000000"
cmp body <(tail -c 2000000 whole) || fail "the part is another one"
head -c 30000 /dev/urandom | base64 -w 0 >upload
get 201 '%{http_code}' -T upload "$base/notes/one"
get 200 '%{http_code}' "$base/notes/one"
[ "$(cat body)" = "{\"note\":\"$(cat upload)\"}" ] || fail "the note is not what was sent"

# --- versions, the chain, and the end, as OpenSSL sees them
for version in tls1_2 tls1_3; do
    s_client "$last_request" "-$version" -msg || fail "s_client -$version: $?: $(cat said)"
    expect_in said '^depth=2 CN = root$'
    expect_in said '^depth=1 CN = middle$'
    expect_in said '^depth=0 CN = localhost$'
    expect_in said '^ *Verification: OK$'
    expect_in said '^\{"hello":"amy"\}$'
    expect_in said '^<<< .*Alert.*warning close_notify$'
done
if openssl s_client -help 2>&1 | grep -q -- '-tls1_1'; then
    s_client '' -tls1_1 -cipher 'DEFAULT:@SECLEVEL=0' && fail "TLS 1.1 is spoken"
    expect_in said 'alert protocol version'
fi

# A connection that waits for its next request is ended in order, too, when the service ends.
printf 'GET /hello/last HTTP/1.1\r\nHost: localhost\r\n\r\n' >request
openssl s_client -connect "127.0.0.1:$port" -servername localhost -CAfile root.pem -msg -ign_eof <request >waits 2>&1 &
waiting=$!
started+=("$waiting")
wait_for_line waits '^\{"hello":"last"\}$'
expect_not_in waits 'close_notify'
kill -TERM "$pid"
finish
expect_status 143
wait "$waiting"
expect_in waits '^<<< .*Alert.*warning close_notify$'

# --- certificates of the clients
start_https_service --tls-clients people.pem
get '200 1.1' '%{http_code} %{http_version}' --cert amy.pem --key amy.key "$base/hello/amy"
for tls_max in 1.2 1.3; do
    refused '35 56' --cacert root.pem --tls-max $tls_max "$base/hello/nobody"
    refused '35 56' --cacert root.pem --tls-max $tls_max --cert mallory.pem --key mallory.key "$base/hello/mallory"
done
s_client "$last_request" -tls1_3 && fail "who has no certificate got in"
expect_in said 'alert certificate required'
expect_in said '^Acceptable client certificate CA names$'
expect_in said '^CN = people$'
s_client "$last_request" -tls1_3 -cert mallory.pem -key mallory.key && fail "who has a stranger's certificate got in"
expect_in said 'alert unknown ca'
s_client "$last_request" -cert amy.pem -key amy.key || fail "s_client with a certificate: $?: $(cat said)"
expect_in said '^\{"hello":"amy"\}$'
get 200 '%{http_code}' --cert amy.pem --key amy.key "$base/healthz"
kill -TERM "$pid"
finish
expect_status 143
expect_not_in err '/hello/(nobody|mallory)' # nothing that they sent was read

# --- the command line
run --port 0 --tls chain.pem amy.key
expect_status 1
expect_in err 'the key in amy\.key does not belong to the certificate in chain\.pem'
run --port 0 --tls chain.pem localhost.key --tls-clients none.pem
expect_status 1
expect_in err 'none\.pem'
run --port 0 --tls chain.pem
expect_status 2
expect_in err "^http_service: '--tls' needs two values"
run --port 0 --tls-clients people.pem
expect_status 2
expect_in err '^http_service: --tls-clients is for --tls$'
