#!/usr/bin/env bash
# Installs a build of eddy into an empty folder, moves that folder, and builds and runs this project against it: by
# find_package, by pkg-config, and with eddy as a subdirectory, there as shared libraries. ctest runs it as the test `install`.
#
#   check.sh SOURCE BUILD SCRATCH      environment: CMAKE, CXX, CMAKE_GENERATOR, BUILD_TYPE, COMPONENTS ("http tls redis jobs testing")
set -euo pipefail
source_dir=$1 build_dir=$2 scratch=$3
here=$(cd "$(dirname "$0")" && pwd)
cmake=${CMAKE:-cmake}
export CXX=${CXX:-c++} CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
components=${COMPONENTS:-}

say() { printf '\n== %s\n' "$*"; }

# run NAME PROGRAM: runs it and expects its last line to be "NAME ok" (the Catch2 program: to succeed).
run() {
    local output
    if ! output=$("$2" 2>&1); then
        printf '%s\n%s failed\n' "$output" "$2" >&2
        exit 1
    fi
    printf '%s\n' "$output" | tail -n 2
}

run_all() {
    local program
    for program in core $components; do
        run "$program" "$1/user_$program"
    done
}

rm -rf "$scratch"
mkdir -p "$scratch"

say "install, then move the installed tree"
"$cmake" --install "$build_dir" --prefix "$scratch/first" >/dev/null
prefix=$scratch/prefix
mv "$scratch/first" "$prefix"
if grep -rIl -e "$source_dir/" -e "$scratch/first" "$prefix"; then
    echo "the installed files above name folders of the build" >&2
    exit 1
fi

say "find_package(eddy COMPONENTS $components)"
"$cmake" -S "$here" -B "$scratch/package" -DCMAKE_PREFIX_PATH="$prefix" -DCOMPONENTS="$components" >/dev/null
"$cmake" --build "$scratch/package"
run_all "$scratch/package"

say "find_package(eddy COMPONENTS no_such_component) must fail"
if "$cmake" -S "$here" -B "$scratch/refused" -DCMAKE_PREFIX_PATH="$prefix" -DCOMPONENTS=no_such_component \
        >"$scratch/refused.log" 2>&1; then
    echo "it was accepted" >&2
    exit 1
fi

pkg_config=$(command -v pkg-config || command -v pkgconf || true)
if [ -n "$pkg_config" ]; then
    say "pkg-config"
    PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name eddy.pc)")
    export PKG_CONFIG_PATH
    libraries=$(cd "$PKG_CONFIG_PATH/.." && pwd)
    mkdir -p "$scratch/pkg-config"
    for program in core $components; do
        package=eddy define=
        [ "$program" = core ] || package=eddy-$program
        # Catch2 2 has no library with a main(); Catch2 3 has, and says so in a file of its own.
        if [ "$program" = testing ]; then
            if "$pkg_config" --exists catch2-with-main; then
                package="$package catch2-with-main"
            else
                define=-DCATCH_CONFIG_MAIN
            fi
        fi
        # shellcheck disable=SC2046,SC2086
        "$CXX" -std=c++20 $define "$here/$program.cpp" -o "$scratch/pkg-config/user_$program" \
            $("$pkg_config" --cflags --libs $package) "-Wl,-rpath,$libraries"
    done
    run_all "$scratch/pkg-config"
fi

say "add_subdirectory, shared libraries"
"$cmake" -S "$here" -B "$scratch/subdirectory" -DEDDY_DIR="$source_dir" -DCOMPONENTS="$components" \
    -DBUILD_SHARED_LIBS=ON -DCMAKE_BUILD_TYPE="${BUILD_TYPE:-Debug}" -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=8 \
    -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)" >/dev/null
targets=()
for program in core $components; do
    targets+=("user_$program")
done
"$cmake" --build "$scratch/subdirectory" --target "${targets[@]}"
run_all "$scratch/subdirectory"
printf '\nall ok\n'
