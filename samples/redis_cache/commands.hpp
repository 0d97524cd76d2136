// The commands, as plain functions: a command waits for nothing, and nobody sees half of it.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "options.hpp"
#include "resp.hpp"
#include "store.hpp"

namespace redis_cache {

/// Everything that all connections share.
class cache {
public:
    explicit cache(const options& o) noexcept : limits(o), data(o.max_memory) {}
    const options limits;
    store data;
    std::uint64_t commands = 0;
    std::size_t clients = 0;
};

/// The commands of one connection. They do not wait for anything.
class session {
public:
    session(cache& c, std::uint64_t id) noexcept : cache_(c), data_(c.data), id_(id) {}
    void execute(const argument_list& a, reply_writer& out);
    [[nodiscard]] bool quits() const noexcept { return quits_; }

private:
    struct command {
        void (session::*run)(const argument_list&, reply_writer&);
        int arity; // arguments with the name; negative: or more
    };
    static const std::unordered_map<std::string_view, command>& commands();

    void ping(const argument_list& a, reply_writer& out) { a.size() == 1 ? out.status("PONG") : out.bulk(a[1]); }
    void echo(const argument_list& a, reply_writer& out) { out.bulk(a[1]); }
    void set(const argument_list& a, reply_writer& out);
    void get(const argument_list& a, reply_writer& out) { value_of(a[1], out); }
    void del(const argument_list& a, reply_writer& out) {
        out.integer(count(a, [this](const std::string& key) { return data_.remove(key); }));
    }
    void exists(const argument_list& a, reply_writer& out) {
        out.integer(count(a, [this](const std::string& key) { return data_.get(key) != nullptr; }));
    }
    void expire(const argument_list& a, reply_writer& out);
    void ttl(const argument_list& a, reply_writer& out) { out.integer(time_left(a[1], std::chrono::seconds(1))); }
    void pttl(const argument_list& a, reply_writer& out) { out.integer(time_left(a[1], std::chrono::milliseconds(1))); }
    void incr(const argument_list& a, reply_writer& out) { out.integer(add(a[1], 1)); }
    void decr(const argument_list& a, reply_writer& out) { out.integer(add(a[1], -1)); }
    void mget(const argument_list& a, reply_writer& out);
    void mset(const argument_list& a, reply_writer& out);
    void keys(const argument_list& a, reply_writer& out);
    void flushall(const argument_list&, reply_writer& out);
    void dbsize(const argument_list&, reply_writer& out) { out.integer(static_cast<std::int64_t>(data_.size())); }
    void info(const argument_list&, reply_writer& out);
    void command_list(const argument_list&, reply_writer& out) { out.array(0); } // redis-cli does without its hints
    void config(const argument_list& a, reply_writer& out);
    void client(const argument_list& a, reply_writer& out);
    void select(const argument_list& a, reply_writer& out);
    void quit(const argument_list&, reply_writer& out);

    void value_of(const std::string& key, reply_writer& out);
    void put(const std::string& key, std::string value, std::optional<store::time_point> until);
    [[nodiscard]] std::int64_t time_left(const std::string& key, std::chrono::nanoseconds unit);
    std::int64_t add(const std::string& key, std::int64_t n);
    template <class F>
    [[nodiscard]] std::int64_t count(const argument_list& a, F f) {
        return std::count_if(a.begin() + 1, a.end(), f);
    }

    cache& cache_;
    store& data_;
    const std::uint64_t id_;
    std::string name_;
    bool quits_ = false;
};

} // namespace redis_cache
