// redis::script: a Lua script that the server remembers by its digest.
//
//     const redis::script add("return redis.call('INCRBY', KEYS[1], ARGV[1])");
//     std::array<std::string_view, 1> keys{"total"};
//     redis::value sum = co_await rc.eval(add, keys, 5);
#pragma once

#include <memory>
#include <string>

namespace eddy::redis {

/// Copies share the text. May be used with many clients, and by any thread.
class script {
public:
    /// Throws `std::bad_alloc`, and `std::runtime_error` if SHA-1 is not to be had.
    explicit script(std::string source);
    [[nodiscard]] const std::string& source() const noexcept { return body_->source; }
    /// Of the source: 40 lower-case hexadecimal digits, for EVALSHA.
    [[nodiscard]] const std::string& sha1() const noexcept { return body_->sha1; }

private:
    struct body {
        std::string source;
        std::string sha1;
    };
    std::shared_ptr<const body> body_;
};

} // namespace eddy::redis
