// Entries of Redis streams, out of the replies of XRANGE, XREAD, XREADGROUP, XCLAIM and XAUTOCLAIM.
//
//     auto id = (co_await rc.command("XADD", "log", "*", "text", "hello")).take_string();
//     redis::value read = co_await rc.blocking_command("XREAD", "BLOCK", 0, "STREAMS", "log", "0");
//     for (const redis::stream_entries& s : redis::to_streams(std::move(read)))
//         for (const redis::stream_entry& e : s.entries) use(s.stream, e.id, e.field("text"));
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <eddy/redis/value.hpp>

namespace eddy::redis {

struct stream_entry {
    std::string id;                                           // "1700000000000-0"
    std::vector<std::pair<std::string, std::string>> fields;  // in their order; empty for one that was deleted meanwhile
    /// The first of that name.
    [[nodiscard]] std::optional<std::string_view> field(std::string_view name) const noexcept;
};

struct stream_entries {
    std::string stream; // its key
    std::vector<stream_entry> entries;
};

/// An array of entries, as XRANGE and XCLAIM give; nil is none. Throws `type_mismatch` for what is none.
[[nodiscard]] std::vector<stream_entry> to_entries(value reply);
/// An array of streams with entries, as XREAD and XREADGROUP give; nil, when the time was over, is none.
[[nodiscard]] std::vector<stream_entries> to_streams(value reply);

} // namespace eddy::redis
