#include "log_writer.hpp"

#include <cstddef>
#include <cstdio>
#include <utility>

#include <eddy/event_loop.hpp>
#include <eddy/offload.hpp>

namespace http_service {

namespace {

bool write_to_stderr(const std::string& text) {
    return std::fwrite(text.data(), 1, text.size(), stderr) == text.size();
}

} // namespace

void log_writer::add(std::string line) {
    if (lines_.closed() || !lines_.try_push(std::move(line))) ++dropped_;
}

eddy::task<> log_writer::run() {
    for (;;) {
        std::string batch;
        try {
            batch = co_await lines_.pop();
        } catch (const eddy::queue_closed&) {
            co_return;
        }
        std::size_t count = 1;
        for (; !lines_.empty() && batch.size() < 64 * 1024; ++count) batch += *lines_.try_pop();
        const bool written = co_await eddy::offload(eddy::this_loop().blocking_pool(), &write_to_stderr, std::move(batch));
        if (!written) dropped_ += count;
    }
}

} // namespace http_service
