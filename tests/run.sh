#!/usr/bin/env bash
# From a fresh Debian machine to all tests run, in one command:
#
#   tests/run.sh [--core] [--no-examples] [--one-by-one] [--preset NAME] [-- CTEST-ARGUMENT...]
#
#   --core          leave out the tests that need outside programs (nginx, openssl, redis-cli, curl, wrk, ab, h2load, socat), and
#                   do not install those, nor what benchmarks need
#   --no-examples   leave out the examples of the documentation, which are a fifth of what is compiled
#   --one-by-one    compile each source by itself also in debug, asan and tsan: twice the time from nothing, less after a change. A
#                   build that is there goes on as it is
#   --preset NAME   debug (default), release, asan, tsan, coverage, clang, clang-asan or clang-19;
#                   built in build/NAME
#   --              the rest goes to ctest: -- -R io -V
#
# Installs the Debian packages that are missing (with sudo if you are not root), builds everything, runs ctest. Run it
# again at will: what is done is not done twice. JOBS=N sets how many compilers run at a time; tests, one more.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$top/tests/lib/packages.sh"

core=no examples=ON unity=ON preset=debug
while [ $# -gt 0 ]; do
    case $1 in
        --core) core=yes ;;
        --no-examples) examples=OFF ;;
        --one-by-one) unity=OFF ;;
        --preset) [ $# -ge 2 ] || die "--preset needs a name, e.g. --preset asan"; preset=$2; shift ;;
        --preset=*) preset=${1#*=} ;;
        --) shift; break ;;
        -h | --help) sed -n '2,17s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) die "cannot read '$1'" "usage: tests/run.sh [--core] [--no-examples] [--one-by-one] [--preset NAME] [-- CTEST-ARGUMENT...]" ;;
    esac
    shift
done
case $preset in
    debug | release | asan | tsan | coverage) ;;
    clang | clang-asan) compiler=clang++-16 ;;
    clang-19) compiler=clang++-19 ;;
    *) die "there is no preset '$preset' for tests" "known: debug release asan tsan coverage clang clang-asan clang-19" ;;
esac
jobs=${JOBS:-$(nproc)}

wanted=("${build_packages[@]}" libxml2-dev libglib2.0-dev libwebsocketpp-dev libpng-dev liburing-dev catch2)
[ $core = yes ] || wanted+=('nginx-light|nginx' openssl redis-server redis-tools python3-celery python3-redis python3-rq curl wrk apache2-utils nghttp2-client socat netcat-openbsd)
case $preset in
    release) [ $core = yes ] || wanted+=(valgrind libbenchmark-dev) ;; # tests/bench: guard.sh counts instructions, bench_micro is built
    clang) wanted+=(clang-16) ;;
    clang-asan) wanted+=(clang-16 libclang-rt-16-dev) ;;
    clang-19) wanted+=(clang-19) ;;
esac
packages "${wanted[@]}"
need_compiler

cd "$top"
options=(-DEDDY_BUILD_TESTS=ON -DEDDY_BUILD_SAMPLES=ON -DEDDY_TESTING=ON -DEDDY_HTTP=ON -DEDDY_TLS=ON -DEDDY_REDIS=ON -DEDDY_JOBS=ON -DEDDY_IO_URING=ON "-DEDDY_TEST_EXAMPLES=$examples")
[ "$preset" != release ] || options+=(-DEDDY_BUILD_BENCH=ON) # so that the benchmarks are built somewhere
[ "$unity" = ON ] || options+=(-DCMAKE_UNITY_BUILD=OFF)
if [ ! -e "build/$preset/CMakeCache.txt" ]; then
    case $preset in
        debug | asan | tsan) options+=("-DCMAKE_UNITY_BUILD=$unity" -DCMAKE_UNITY_BUILD_BATCH_SIZE=8) ;;
    esac
    # Lines of a backtrace, no variables: compiled in less time, and half the size.
    [ "$preset-$unity" != debug-ON ] || options+=(-DCMAKE_CXX_FLAGS_DEBUG=-g1)
fi
configure "$preset" "${options[@]}"
say "building"
cmake --build "build/$preset" -j "$jobs" || die "the build failed (the compiler's words are above)"

# ThreadSanitizer of older compilers does not start where the kernel scatters addresses widely; setarch -R stops that.
run=()
if [ "$preset" = tsan ] && setarch -R true 2>/dev/null; then
    run=(setarch -R)
fi
leave_out=()
[ $core = no ] || leave_out=(-LE '^interop$')
say "running the tests"
# One more than there are processors: many of them wait for programs that wait.
exec "${run[@]}" ctest --preset "$preset" -j "$((jobs + 1))" "${leave_out[@]}" "$@"
