// hiredis as a codec: bytes in, values out.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>

#include <eddy/redis/value.hpp>

struct redisReader; // hiredis

namespace eddy::redis::detail {

/// Allocates nothing for a reply but what the value itself needs.
class reply_parser {
public:
    /// `most`: bytes of one reply.
    explicit reply_parser(std::size_t most);
    reply_parser(const reply_parser&) = delete;
    reply_parser& operator=(const reply_parser&) = delete;
    ~reply_parser();

    /// What came. Throws `protocol_error` if the reply that is under way is too long, `std::bad_alloc`.
    void feed(std::string_view bytes);
    /// The next reply, if all of it is there. Throws `protocol_error`; nothing can be done with the stream after that.
    [[nodiscard]] std::optional<value> next();
    /// Is there a part of a reply?
    [[nodiscard]] bool in_the_middle() const noexcept;

private:
    struct sink;
    struct reader_deleter {
        void operator()(redisReader* r) const noexcept;
    };
    std::unique_ptr<redisReader, reader_deleter> reader_;
    value root_;
    bool begun_ = false;        // root_ is being built
    std::size_t most_;
    std::size_t fed_ = 0;       // bytes since the last reply was complete
};

} // namespace eddy::redis::detail
