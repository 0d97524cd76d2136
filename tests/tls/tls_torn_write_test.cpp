// A write that has failed half-way: nothing may follow it.
#include "tls/support.hpp"

#include <new>
#include <vector>

#include "coro/allocations.hpp"

using namespace tls_tests;

namespace {

/// A batch of one record, then batches of many: their headers make them need more memory than the first.
[[nodiscard]] std::vector<std::string> growing_parts() {
    std::vector<std::string> all{std::string(32 * 1024, 'a')};
    for (int i = 0; i < 80; ++i) all.emplace_back(1024, static_cast<char>('b' + i % 20));
    return all;
}

/// All that comes, whichever way it ends.
task<> collect(memory_tls& from, std::string& text) {
    try {
        for (;;) {
            std::string more = co_await read_text(from);
            if (more.empty()) co_return;
            text += more;
        }
    } catch (const truncated&) {
    }
}

} // namespace

EDDY_TEST("a TLS write that lacks memory half-way lets no other follow it") {
    const std::vector<std::string> texts = growing_parts();
    std::vector<std::span<const std::byte>> parts;
    std::string whole;
    for (const std::string& t : texts) {
        parts.push_back(bytes_of(t));
        whole += t;
    }
    bool failed = true;
    bool half_way = false;
    for (long n = 0; failed; ++n) {
        auto c = co_await in_memory({.capacity = 1 << 20});
        try {
            const allocations::failing out_of_memory(n);
            try {
                co_await c.client.write(parts);
            } catch (...) {
                failed = out_of_memory.happened();
                throw;
            }
            failed = out_of_memory.happened();
        } catch (const std::bad_alloc&) {
        }
        const std::string later = co_await ending_of(write_text(c.client, "later"));
        co_await c.client.close();
        std::string got;
        co_await collect(c.server, got);
        if (later == "ok") {
            CHECK((got == "later" || got == whole + "later"));
        } else {
            CHECK((whole.starts_with(got)));
            half_way = half_way || (!got.empty() && later == "broken: TLS write to localhost: an earlier write failed half-way");
        }
    }
    CHECK(half_way);
}
