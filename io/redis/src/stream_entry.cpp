#include <eddy/redis/stream_entry.hpp>

#include <eddy/redis/error.hpp>

namespace eddy::redis {
namespace {

[[nodiscard]] std::vector<value> take_items(value& v, std::size_t expected) {
    std::vector<value> items = v.take_array();
    if (items.size() != expected)
        throw type_mismatch("a redis reply is an array of " + std::to_string(items.size()) + " items, not of " + std::to_string(expected));
    return items;
}

[[nodiscard]] stream_entry to_entry(value reply) {
    std::vector<value> parts = take_items(reply, 2);
    stream_entry entry;
    entry.id = parts[0].take_string();
    if (parts[1].is_nil()) return entry; // deleted, but still pending
    std::vector<value> words = parts[1].take_array();
    if (words.size() % 2 != 0) throw type_mismatch("a redis stream entry has a field without a value");
    entry.fields.reserve(words.size() / 2);
    for (std::size_t i = 0; i < words.size(); i += 2) entry.fields.emplace_back(words[i].take_string(), words[i + 1].take_string());
    return entry;
}

} // namespace

std::optional<std::string_view> stream_entry::field(std::string_view name) const noexcept {
    for (const auto& [key, text] : fields)
        if (key == name) return text;
    return std::nullopt;
}

std::vector<stream_entry> to_entries(value reply) {
    std::vector<stream_entry> entries;
    if (reply.is_nil()) return entries;
    std::vector<value> items = reply.take_array();
    entries.reserve(items.size());
    for (value& item : items)
        if (!item.is_nil()) entries.push_back(to_entry(std::move(item))); // XCLAIM of one that was deleted
    return entries;
}

std::vector<stream_entries> to_streams(value reply) {
    std::vector<stream_entries> streams;
    if (reply.is_nil()) return streams;
    for (value& item : reply.take_array()) {
        std::vector<value> parts = take_items(item, 2);
        std::string key = parts[0].take_string();
        streams.push_back(stream_entries{std::move(key), to_entries(std::move(parts[1]))});
    }
    return streams;
}

} // namespace eddy::redis
