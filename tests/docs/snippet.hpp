// What the examples of the documentation are compiled with.
#pragma once

#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>
#if __has_include(<eddy/http.hpp>) && defined(EDDY_DOCS_HTTP)
#include <eddy/http.hpp>
#endif
#if __has_include(<eddy/tls.hpp>) && defined(EDDY_DOCS_TLS)
#include <eddy/tls.hpp>
#endif
#if __has_include(<eddy/redis.hpp>) && defined(EDDY_DOCS_REDIS)
#include <eddy/redis.hpp>
#endif
#if __has_include(<eddy/jobs.hpp>) && defined(EDDY_DOCS_JOBS)
#include <eddy/jobs.hpp>
#endif

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using namespace eddy;
using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace std::string_view_literals;

namespace docs {

/// How a program ended and what it wrote to stdout.
class finished_program {
public:
    finished_program(int exit_status, std::string text) : status(exit_status), output(std::move(text)) {}
    int status;
    std::string output;
};

/// Runs an example program to its end, at most a minute.
[[nodiscard]] inline finished_program run_program(const std::string& name) {
    const std::string command = "timeout 60 '" EDDY_DOCS_DIR "/" + name + "'";
    std::FILE* const pipe = ::popen(command.c_str(), "r");
    if (!pipe) return {-1, "popen failed"};
    std::string output;
    std::array<char, 4096> buffer;
    while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) output.append(buffer.data(), n);
    return {::pclose(pipe), output};
}

} // namespace docs
