// What is cached: strings by key, with times to live, within so much memory. Knows nothing of the protocol.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include <eddy/event.hpp>
#include <eddy/loop_clock.hpp>

namespace redis_cache {

using clock_type = eddy::loop_clock;

/// Strings by key. Takes no more memory than it may: what was not used for longest goes first. Everything but `keys` takes
/// constant time, or logarithmic where there is a time to live.
class store {
public:
    using time_point = clock_type::time_point;
    explicit store(std::size_t max_memory) noexcept : max_memory_(max_memory) {}
    store(const store&) = delete;
    store& operator=(const store&) = delete;

    /// Null if there is none, or no more. Counts as a use.
    [[nodiscard]] const std::string* get(std::string_view key);
    /// False if it would not fit even if all else went. Nothing: it stays for ever.
    [[nodiscard]] bool put(std::string_view key, std::string value, std::optional<time_point> until);
    bool remove(std::string_view key);
    void clear() noexcept;

    [[nodiscard]] std::optional<time_point> expiry(std::string_view key) const;
    bool set_expiry(std::string_view key, time_point until);
    /// When the next one is to go; nothing: none of them is.
    [[nodiscard]] std::optional<time_point> next_expiry() const;
    /// Removes at most so many whose time has come; false if that was not all.
    bool expire(std::size_t most);
    /// Set when the next expiry may be sooner than it was.
    eddy::event sooner;

    template <class F>
    void for_each_key(F f) const {
        for (const item& i : items_)
            if (!is_over(i)) f(i.key);
    }
    [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }
    [[nodiscard]] std::size_t memory() const noexcept { return memory_; }
    [[nodiscard]] std::uint64_t evicted() const noexcept { return evicted_; }
    [[nodiscard]] std::uint64_t expired() const noexcept { return expired_; }

private:
    struct item;
    using item_list = std::list<item>;
    using deadlines = std::multimap<time_point, item_list::iterator>;
    struct item {
        explicit item(std::string_view k) : key(k) {}
        std::string key;
        std::string value;
        std::optional<deadlines::iterator> due;
    };
    static constexpr std::size_t overhead = 200; // of an item in the three containers, roughly

    [[nodiscard]] static std::size_t cost(std::string_view key, std::string_view value) noexcept {
        return key.size() + value.size() + overhead;
    }
    [[nodiscard]] static bool is_over(const item& i) { return i.due && (*i.due)->first <= clock_type::now(); }
    [[nodiscard]] item_list::iterator find(std::string_view key);
    item_list::iterator add(std::string_view key, std::optional<time_point> until);
    void set_due(item_list::iterator i, std::optional<time_point> until);
    void erase(item_list::iterator i) noexcept;

    item_list items_; // the one used last is first
    std::unordered_map<std::string_view, item_list::iterator> index_;
    deadlines deadlines_;
    std::size_t memory_ = 0;
    const std::size_t max_memory_;
    std::uint64_t evicted_ = 0;
    std::uint64_t expired_ = 0;
};

} // namespace redis_cache
