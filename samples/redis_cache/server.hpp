// The coroutines: one for each connection, and one that waits for what expires next. All run on one thread.
#pragma once

#include <cstdint>

#include <eddy/shutdown_signal.hpp>
#include <eddy/task.hpp>
#include <eddy/tcp.hpp>

#include "commands.hpp"
#include "options.hpp"
#include "resp.hpp"

namespace redis_cache {

class cache_server {
public:
    explicit cache_server(const options& o) noexcept : cache_(o) {}
    /// Says "PORT n" and "READY" when it listens. Until it is cancelled; then the commands that it has read are answered first.
    eddy::task<> run();

private:
    eddy::task<> handle(eddy::tcp_stream stream);
    eddy::task<bool> answer(eddy::tcp_stream& stream, command_parser& parser, session& commands);
    cache cache_;
    eddy::shutdown_signal stop_;
    std::uint64_t last_id_ = 0;
};

} // namespace redis_cache
