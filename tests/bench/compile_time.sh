#!/usr/bin/env bash
# What including it costs: processor time of compiling a program of 20 lines, beside the same program on Asio's awaitable; prints a table
# of docs/benchmarks.md. Three rounds, in turns; medians. CXX=… sets the compiler.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
cxx=${CXX:-c++}
case ${1:-} in -h | --help) sed -n '2,3s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CCACHE_DISABLE=1
echo '#include <asio.hpp>' | $cxx -x c++ -fsyntax-only - 2>/dev/null || { echo "compile_time.sh: needs Asio" >&2; exit 77; }
cat >"$work/eddy.cpp" <<'END'
#include <eddy/eddy.hpp>

using namespace eddy;

task<> echo(tcp_stream s) {
    for (;;) {
        const borrowed_bytes got = co_await s.read_borrowed();
        if (got.empty()) co_return;
        co_await s.write(got);
    }
}

task<> serve_all() {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 9000});
    co_await serve(l, echo);
}

int main() {
    return run_main(serve_all());
}
END
cat >"$work/asio.cpp" <<'END'
#include <asio.hpp>

using asio::ip::tcp;

asio::awaitable<void> echo(tcp::socket s) {
    char data[4096];
    for (;;) {
        const std::size_t n = co_await s.async_read_some(asio::buffer(data), asio::use_awaitable);
        co_await asio::async_write(s, asio::buffer(data, n), asio::use_awaitable);
    }
}
asio::awaitable<void> serve_all() {
    auto executor = co_await asio::this_coro::executor;
    tcp::acceptor a(executor, {asio::ip::address_v4::loopback(), 9000});
    for (;;) co_spawn(executor, echo(co_await a.async_accept(asio::use_awaitable)), asio::detached);
}
int main() {
    asio::io_context io(1);
    co_spawn(io, serve_all(), asio::detached);
    io.run();
}
END
median() { sort -g | awk '{v[NR]=$1} END{print v[int((NR+1)/2)]}'; }
compile() { # NAME: its processor seconds
    local TIMEFORMAT='%U %S'
    # shellcheck disable=SC2086 # a compiler and what wraps it
    { time $cxx -std=c++20 -O2 -I"$top/coro/include" -I"$top/runtime/include" -I"$top/io/include" -c "$work/$1.cpp" -o "$work/$1.o" 2>"$work/errors"; } 2>"$work/time" ||
        { cat "$work/errors" >&2; echo "compile_time.sh: $1.cpp does not compile" >&2; exit 1; }
    awk 'END { print $1 + $2 }' "$work/time"
}
for _ in 1 2 3; do
    for name in eddy asio; do compile $name >>"$work/$name.seconds"; done
done
ours=$(median <"$work/eddy.seconds")
theirs=$(median <"$work/asio.seconds")
echo "## Compiling"
echo
echo "An echo server of 20 lines, \`-O2\`, with $($cxx --version | head -1). Repeated by \`tests/bench/compile_time.sh\`."
echo
echo "| program | ratio | processor seconds |"
echo "|---|--:|--:|"
echo "| Asio's awaitable | 1.00 | $theirs |"
echo "| **eddy**, \`<eddy/eddy.hpp>\` | $(awk -v a="$ours" -v b="$theirs" 'BEGIN { printf "%.2f", a / b }') | $ours |"
