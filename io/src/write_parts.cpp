#include <eddy/write_parts.hpp>

#include <eddy/errors.hpp>

namespace eddy::detail {

task<> write_one_by_one(task<> (*write)(void* of, std::span<const std::byte> bytes), void* of,
                        std::span<const std::span<const std::byte>> buffers) {
    const task_context& self = co_await this_context();
    std::size_t written = 0;
    try {
        for (const std::span<const std::byte> part : buffers) {
            if (part.empty()) continue;
            co_await write(of, part);
            written += part.size();
        }
        if (written == 0) co_await write(of, std::span<const std::byte>()); // what it has to say to nothing
    } catch (const operation_cancelled& c) {
        throw operation_cancelled(self.scope().effective_reason(), written + c.partial());
    }
}

} // namespace eddy::detail
