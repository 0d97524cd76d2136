// The argument --engine native|asio of our programs.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <eddy/run.hpp>

namespace bench {

/// What `--engine` asks for, from argument `first` on; the best there is (or EDDY_ENGINE) if it is not given; ends the program if
/// there is no such engine.
inline eddy::engine_kind engine_argument(int argc, char** argv, int first) {
    for (int i = first; i + 1 < argc; ++i) {
        if (std::strcmp(argv[i], "--engine") != 0) continue;
        if (std::strcmp(argv[i + 1], "native") == 0) return eddy::engine_kind::native;
        if (std::strcmp(argv[i + 1], "asio") == 0) return eddy::engine_kind::asio;
        std::fprintf(stderr, "%s: --engine %s: there are native and asio\n", argv[0], argv[i + 1]);
        std::exit(2);
    }
    return eddy::engine_kind::automatic;
}

} // namespace bench
