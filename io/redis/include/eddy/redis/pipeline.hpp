// redis::pipeline: commands that are sent together, and answered together.
//
//     redis::pipeline p;
//     p.add("SET", "a", 1).add("INCR", "a").add("GET", "a");
//     std::vector<redis::value> replies = co_await rc.run(p);              // an error is a value too: it hides no other reply
//     auto all = co_await rc.transaction(p);                               // the same between MULTI and EXEC
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include <eddy/redis/detail/words.hpp>

namespace eddy::redis {

/// A list of commands; can be used again. Tasks that send single commands at the same time need none of this: what they send
/// goes together by itself.
class pipeline {
public:
    pipeline() = default;

    /// One more command. Arguments are strings, numbers and ranges of them, each item of which is a word of its own; they are copied.
    template <detail::argument... A>
    pipeline& add(std::string_view name, const A&... arguments) {
        detail::append_command(wire_, name, arguments...);
        ++commands_;
        return *this;
    }
    /// Commands in it.
    [[nodiscard]] std::size_t size() const noexcept { return commands_; }
    [[nodiscard]] bool empty() const noexcept { return commands_ == 0; }
    void clear() noexcept {
        wire_.clear();
        commands_ = 0;
    }

    /// For the library: as it is sent.
    [[nodiscard]] std::string_view wire() const noexcept { return wire_; }

private:
    std::string wire_;
    std::size_t commands_ = 0;
};

} // namespace eddy::redis
