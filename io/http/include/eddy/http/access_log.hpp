// access_record: what a server did, for logs and figures.
//
//     hs.on_access([&log](const http::access_record& r) { log.add(http::common_log_line(r)); });
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <eddy/endpoint.hpp>

namespace eddy::http {

/// One request that was answered, or could not be.
class access_record {
public:
    ip_endpoint remote; // empty (0.0.0.0:0) on a Unix-domain socket
    std::string method; // empty, like the target, if there was no understanding the head
    std::string target;
    int minor_version = 1;
    std::string referer;
    std::string user_agent;
    int status = 0;               // 0: there was none, because the client left in the middle of its body, or the server ended
    std::uint64_t body_bytes = 0; // of the response, as sent: with its coding, without chunk headers
    bool complete = true;         // false: the client left, was too slow, or the body failed
    std::chrono::system_clock::time_point received; // when the head was there
    std::chrono::nanoseconds duration{0};           // from then until the kernel had the last byte
};

/// A line, without its end, in the combined format of Apache and nginx, in UTC:
/// `127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "GET / HTTP/1.1" 200 12 "-" "curl/7.88.1"`. What a client could use to write lines or
/// fields of its own (quotes, backslashes, control characters) is written as `\xHH`.
[[nodiscard]] std::string common_log_line(const access_record& r);

} // namespace eddy::http
