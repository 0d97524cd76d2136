#include "store.hpp"

#include <iterator>
#include <utility>

namespace redis_cache {

store::item_list::iterator store::find(std::string_view key) {
    const auto at = index_.find(key);
    if (at == index_.end()) return items_.end();
    const auto i = at->second;
    if (!is_over(*i)) return i;
    ++expired_;
    erase(i);
    return items_.end();
}

const std::string* store::get(std::string_view key) {
    const auto i = find(key);
    if (i == items_.end()) return nullptr;
    items_.splice(items_.begin(), items_, i);
    return &i->value;
}

bool store::put(std::string_view key, std::string value, std::optional<time_point> until) {
    const std::size_t needed = cost(key, value);
    if (needed > max_memory_) return false;
    auto i = find(key);
    if (i == items_.end())
        i = add(key, until);
    else
        set_due(i, until);
    items_.splice(items_.begin(), items_, i);
    memory_ += needed - cost(i->key, i->value);
    i->value = std::move(value);
    while (memory_ > max_memory_) { // ends before this one
        ++evicted_;
        erase(std::prev(items_.end()));
    }
    return true;
}

store::item_list::iterator store::add(std::string_view key, std::optional<time_point> until) {
    const auto i = items_.emplace(items_.begin(), key);
    try {
        set_due(i, until);
        index_.emplace(i->key, i);
    } catch (...) {
        if (i->due) deadlines_.erase(*i->due);
        items_.erase(i);
        throw;
    }
    memory_ += cost(i->key, i->value);
    return i;
}

void store::set_due(item_list::iterator i, std::optional<time_point> until) {
    std::optional<deadlines::iterator> due;
    if (until) due = deadlines_.emplace(*until, i);
    if (i->due) deadlines_.erase(*i->due);
    i->due = due;
    if (due && *due == deadlines_.begin()) sooner.set();
}

void store::erase(item_list::iterator i) noexcept {
    memory_ -= cost(i->key, i->value);
    if (i->due) deadlines_.erase(*i->due);
    index_.erase(i->key);
    items_.erase(i);
}

bool store::remove(std::string_view key) {
    const auto i = find(key);
    if (i == items_.end()) return false;
    erase(i);
    return true;
}

void store::clear() noexcept {
    index_.clear();
    deadlines_.clear();
    items_.clear();
    memory_ = 0;
}

std::optional<store::time_point> store::expiry(std::string_view key) const {
    const auto at = index_.find(key);
    if (at == index_.end() || !at->second->due) return std::nullopt;
    return (*at->second->due)->first;
}

bool store::set_expiry(std::string_view key, time_point until) {
    const auto i = find(key);
    if (i == items_.end()) return false;
    set_due(i, until);
    return true;
}

std::optional<store::time_point> store::next_expiry() const {
    if (deadlines_.empty()) return std::nullopt;
    return deadlines_.begin()->first;
}

bool store::expire(std::size_t most) {
    const time_point now = clock_type::now();
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
        if (most-- == 0) return false;
        ++expired_;
        erase(deadlines_.begin()->second);
    }
    return true;
}

} // namespace redis_cache
