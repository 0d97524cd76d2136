// What `client::download` takes and gives: a body that goes to a file, and goes on where it was interrupted.
//
//     http::download_progress progress;                       // another task may look at it
//     co_await hc.download(url, "big.iso", {.progress = &progress});
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

#include <eddy/http/headers.hpp>
#include <eddy/http/request_options.hpp>

namespace eddy::http {

/// How far a download is. Written on the loop's thread while the download runs.
struct download_progress {
    std::uint64_t received = 0;              // bytes of the file that are there, those of earlier attempts included
    std::uint64_t resumed_from = 0;          // those of earlier attempts
    std::optional<std::uint64_t> total = {}; // as far as the server tells
};

struct download_options {
    request_options request = {};            // `Range`, `If-Range` and `Accept-Encoding` are the download's business
    bool resume = true;                      // go on with a part that an earlier attempt has left
    download_progress* progress = nullptr;   // must live until the task has ended
};

static_assert(std::is_trivially_destructible_v<download_options>); // it is written into co_await expressions (trap T1)

/// What a download that came to its end has done.
class download_result {
public:
    download_result() = default;
    std::uint64_t size = 0;         // of the file
    std::uint64_t resumed_from = 0; // bytes that were there already
    std::string url;                // where it came from, after redirects
    header_list headers;            // of the last answer
};

} // namespace eddy::http
