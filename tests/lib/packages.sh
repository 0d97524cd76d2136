# shellcheck shell=bash
# Sourced by samples/run.sh, tests/run.sh and .ci/run: installs what is missing, and says what it does.
#
#   say TEXT                    a line of progress
#   die TEXT...                 error message, a line each, and exit 1
#   packages NAME...            Debian packages that must be there; NAME may be a|b: either will do, else a is installed
#   need_compiler               a C++20 compiler works: $compiler, which is $CXX or c++
#   configure PRESET OPTION...  runs CMake in $top, the project's folder
#   package_available NAME      whether apt could install it (asks apt's lists, no network)
#
# Does nothing, and asks no network, when all is there. Not on Debian or Ubuntu: checks that the tools exist, and
# leaves the libraries to CMake, which names each one that is missing.

me=$(basename "$(dirname "$(realpath "$0")")")/${0##*/}

say() { printf '%s: %s\n' "$me" "$*"; }

die() {
    printf '%s: error: %s\n' "$me" "$1" >&2
    shift
    [ $# = 0 ] || printf '    %s\n' "$@" >&2
    exit 1
}

package_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

package_available() {
    [ -n "$(apt-cache madison "$1" 2>/dev/null)" ]
}

packages() {
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        local tool
        for tool in cmake ninja; do
            command -v "$tool" >/dev/null || die "$tool is missing, and this is no Debian where it could be installed with apt" \
                "install the equivalents of these Debian packages by hand: $*"
        done
        return 0
    fi

    local wanted alternative found missing=()
    for wanted in "$@"; do
        found=no
        for alternative in ${wanted//|/ }; do
            if package_installed "$alternative"; then found=yes; fi
        done
        [ $found = yes ] || missing+=("${wanted%%|*}")
    done
    if [ ${#missing[@]} = 0 ]; then
        return 0
    fi

    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "these Debian packages are missing, and installing them needs root or sudo:" "${missing[*]}" \
            "as root, run: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    say "installing with apt: ${missing[*]}"
    local log status=0
    log=$(mktemp)
    {
        "${as_root[@]}" apt-get update -qq &&
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    } >"$log" 2>&1 </dev/null || status=$?
    # apt-get update succeeds even when it reached no server: what counts is whether the packages are there now.
    local absent=()
    for wanted in "${missing[@]}"; do
        package_installed "$wanted" || absent+=("$wanted")
    done
    if [ ${#absent[@]} != 0 ]; then
        tail -n 15 "$log" >&2
        local reason="apt could not install these packages (its last words are above):"
        if grep -qiE 'could not resolve|temporary failure|unable to connect|could not connect|connection (failed|timed out|refused)|network is unreachable|failed to fetch' "$log"; then
            reason="apt reached no package server; is there a network? Missing (apt's last words are above):"
        elif grep -qiE 'a password is required|a terminal is required|not in the sudoers' "$log"; then
            reason="sudo refused; run this script as root, or install these packages by hand:"
        elif grep -qiE 'could not get lock|could not open lock' "$log"; then
            reason="another program is installing packages right now; try again when it is done. Missing:"
        fi
        rm -f "$log"
        die "$reason" "${absent[*]}"
    fi
    rm -f "$log"
    [ $status = 0 ] || say "apt ended with status $status, but all packages are there; going on"
}

need_compiler() {
    local scratch
    # shellcheck disable=SC2086
    command -v ${compiler%% *} >/dev/null ||
        die "there is no C++ compiler '$compiler'" "install g++ 12 or newer (Debian: apt-get install g++), or set CXX"
    scratch=$(mktemp -d)
    printf '#include <coroutine>\nstd::suspend_never s;\nint main() {}\n' >"$scratch/try.cpp"
    if ! $compiler -std=c++20 "$scratch/try.cpp" -o "$scratch/try" 2>"$scratch/log"; then
        head -n 5 "$scratch/log" >&2
        rm -rf "$scratch"
        die "the compiler '$compiler' cannot build a C++20 program with coroutines (its words are above)" \
            "g++ 12 or newer, or clang 16 or newer, is needed"
    fi
    rm -rf "$scratch"
}

# compiler_version: "gcc12", "clang16"; asked of the compiler itself, which may be called c++.
compiler_version() {
    # shellcheck disable=SC2086
    $compiler -dM -E -x c++ /dev/null 2>/dev/null | awk '
        $2 == "__clang_major__" { clang = $3 }
        $2 == "__GNUC__" { gcc = $3 }
        END { print clang ? "clang" clang : "gcc" gcc }'
}

# configure PRESET [OPTION...]: runs CMake, silent unless it fails.
configure() {
    local preset=$1 log options=()
    shift
    # A new compiler has new warnings; they fail the build only with those that eddy is developed with.
    case $preset-$(compiler_version) in
        clang* | *-clang16 | *-gcc12) ;;
        *) options+=(-DEDDY_WERROR=OFF) ;;
    esac
    say "configuring in build/$preset"
    mkdir -p "$top/build/$preset" 2>/dev/null && [ -w "$top/build/$preset" ] ||
        die "no permission to write in $top/build" "run as the user that owns it, or remove it: it was perhaps made by root"
    log=$(mktemp)
    if ! (cd "$top" && cmake --preset "$preset" "${options[@]}" "$@") >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log" "$top/build/$preset/build.ninja"
        die "CMake could not configure the build (its words are above)"
    fi
    rm -f "$log"
}

compiler=${CXX:-c++}

# What every build needs. Somebody who sets CXX has a compiler of their own.
build_packages=(cmake ninja-build libasio-dev libfmt-dev 'libcurl4-openssl-dev|libcurl4-gnutls-dev|libcurl4-nss-dev' libboost-dev libssl-dev libhiredis-dev 'pkg-config|pkgconf'
    nlohmann-json3-dev libsqlite3-dev zlib1g-dev)
[ -n "${CXX:-}" ] || build_packages+=(g++)
