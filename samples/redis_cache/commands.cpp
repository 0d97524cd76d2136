#include "commands.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

#include "glob.hpp"

namespace redis_cache {

using namespace std::chrono_literals;

namespace {

/// What a command is refused with; the connection goes on.
class command_error : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

std::string upper(std::string_view text) {
    std::string s(text);
    for (char& c : s)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return s;
}

/// Times that the clock can represent, and that mean something.
store::time_point after(std::int64_t n, std::chrono::nanoseconds unit, std::string_view command) {
    constexpr std::chrono::nanoseconds longest = std::chrono::hours(24 * 365 * 100);
    if (n <= 0 || n > longest / unit) throw command_error("ERR invalid expire time in '" + std::string(command) + "' command");
    return clock_type::now() + n * unit;
}

std::int64_t integer_argument(const std::string& text) {
    const auto n = to_integer(text);
    if (!n) throw command_error("ERR value is not an integer or out of range");
    return *n;
}

} // namespace

const std::unordered_map<std::string_view, session::command>& session::commands() {
    static const std::unordered_map<std::string_view, command> all = {
        {"PING", {&session::ping, -1}},         {"ECHO", {&session::echo, 2}},         {"SET", {&session::set, -3}},
        {"GET", {&session::get, 2}},            {"DEL", {&session::del, -2}},          {"EXISTS", {&session::exists, -2}},
        {"EXPIRE", {&session::expire, 3}},      {"TTL", {&session::ttl, 2}},           {"PTTL", {&session::pttl, 2}},
        {"INCR", {&session::incr, 2}},          {"DECR", {&session::decr, 2}},         {"MGET", {&session::mget, -2}},
        {"MSET", {&session::mset, -3}},         {"KEYS", {&session::keys, 2}},         {"FLUSHALL", {&session::flushall, -1}},
        {"DBSIZE", {&session::dbsize, 1}},      {"INFO", {&session::info, -1}},        {"COMMAND", {&session::command_list, -1}},
        {"CONFIG", {&session::config, -2}},     {"CLIENT", {&session::client, -2}},    {"SELECT", {&session::select, 2}},
        {"QUIT", {&session::quit, -1}},
    };
    return all;
}

void session::execute(const argument_list& a, reply_writer& out) {
    ++cache_.commands;
    try {
        const auto found = commands().find(upper(a[0]));
        if (found == commands().end()) throw command_error("ERR unknown command '" + a[0].substr(0, 128) + "'");
        const int n = static_cast<int>(a.size());
        const int arity = found->second.arity;
        if (arity >= 0 ? n != arity : n < -arity)
            throw command_error("ERR wrong number of arguments for '" + a[0] + "' command");
        (this->*found->second.run)(a, out);
    } catch (const command_error& e) {
        out.error(e.what());
    }
}

void session::set(const argument_list& a, reply_writer& out) {
    std::optional<store::time_point> until;
    std::optional<bool> if_there; // XX, NX
    for (std::size_t i = 3; i < a.size(); ++i) {
        const std::string option = upper(a[i]);
        if ((option == "NX" || option == "XX") && !if_there)
            if_there = option == "XX";
        else if ((option == "EX" || option == "PX") && !until && i + 1 < a.size())
            until = after(integer_argument(a[++i]), option == "EX" ? 1s : std::chrono::nanoseconds(1ms), "set");
        else
            throw command_error("ERR syntax error");
    }
    if (if_there && *if_there != (data_.get(a[1]) != nullptr)) return out.null();
    put(a[1], a[2], until);
    out.status("OK");
}

void session::put(const std::string& key, std::string value, std::optional<store::time_point> until) {
    if (!data_.put(key, std::move(value), until)) throw command_error("OOM the value does not fit into 'maxmemory'");
}

void session::value_of(const std::string& key, reply_writer& out) {
    if (const std::string* value = data_.get(key))
        out.bulk(*value);
    else
        out.null();
}

void session::expire(const argument_list& a, reply_writer& out) {
    const std::int64_t seconds = integer_argument(a[2]);
    out.integer(seconds <= 0 ? data_.remove(a[1]) : data_.set_expiry(a[1], after(seconds, 1s, "expire")));
}

/// -2: there is none; -1: it stays. Rounded, as Redis does.
std::int64_t session::time_left(const std::string& key, std::chrono::nanoseconds unit) {
    if (!data_.get(key)) return -2;
    const auto until = data_.expiry(key);
    return until ? (*until - clock_type::now() + unit / 2) / unit : -1;
}

std::int64_t session::add(const std::string& key, std::int64_t n) {
    const std::string* before = data_.get(key);
    const std::int64_t value = before ? integer_argument(*before) : 0;
    using limits = std::numeric_limits<std::int64_t>;
    if (n > 0 ? value > limits::max() - n : value < limits::min() - n) throw command_error("ERR increment or decrement would overflow");
    put(key, std::to_string(value + n), data_.expiry(key));
    return value + n;
}

void session::mget(const argument_list& a, reply_writer& out) {
    out.array(a.size() - 1);
    for (std::size_t i = 1; i < a.size(); ++i) value_of(a[i], out);
}

void session::mset(const argument_list& a, reply_writer& out) {
    if (a.size() % 2 == 0) throw command_error("ERR wrong number of arguments for 'mset' command");
    for (std::size_t i = 1; i < a.size(); i += 2) put(a[i], a[i + 1], std::nullopt);
    out.status("OK");
}

/// Looks at all of them, while everybody waits: as with Redis, nothing for every day.
void session::keys(const argument_list& a, reply_writer& out) {
    std::vector<std::string_view> found;
    data_.for_each_key([&](const std::string& key) {
        if (matches(a[1], key)) found.push_back(key);
    });
    out.array(found.size());
    for (const std::string_view key : found) out.bulk(key);
}

void session::flushall(const argument_list&, reply_writer& out) {
    data_.clear();
    out.status("OK");
}

void session::info(const argument_list&, reply_writer& out) {
    std::string text = "# Server\r\nserver_name:redis_cache\r\n";
    const auto row = [&text](std::string_view name, std::uint64_t n) { text += std::string(name) + ":" + std::to_string(n) + "\r\n"; };
    text += "# Clients\r\n";
    row("connected_clients", cache_.clients);
    text += "# Memory\r\n";
    row("used_memory", data_.memory());
    row("maxmemory", cache_.limits.max_memory);
    text += "maxmemory_policy:allkeys-lru\r\n# Stats\r\n";
    row("total_commands_processed", cache_.commands);
    row("expired_keys", data_.expired());
    row("evicted_keys", data_.evicted());
    text += "# Keyspace\r\n";
    row("db0:keys", data_.size());
    out.bulk(text);
}

/// redis-benchmark wants to know whether we save to disk.
void session::config(const argument_list& a, reply_writer& out) {
    if (upper(a[1]) != "GET" || a.size() != 3) throw command_error("ERR only CONFIG GET is there");
    const std::array<std::pair<std::string_view, std::string>, 4> settings = {{
        {"save", ""}, {"appendonly", "no"}, {"maxmemory", std::to_string(cache_.limits.max_memory)}, {"maxmemory-policy", "allkeys-lru"}}};
    const auto wanted = [&](const auto& s) { return matches(a[2], s.first); };
    out.array(2 * static_cast<std::size_t>(std::ranges::count_if(settings, wanted)));
    for (const auto& s : settings) {
        if (!wanted(s)) continue;
        out.bulk(s.first);
        out.bulk(s.second);
    }
}

void session::client(const argument_list& a, reply_writer& out) {
    const std::string what = upper(a[1]);
    if (what == "ID" && a.size() == 2) return out.integer(static_cast<std::int64_t>(id_));
    if (what == "GETNAME" && a.size() == 2) return out.bulk(name_);
    if (what == "SETNAME" && a.size() == 3)
        name_ = a[2];
    else if (what != "SETINFO" || a.size() != 4)
        throw command_error("ERR of CLIENT only ID, GETNAME, SETNAME and SETINFO are there");
    out.status("OK");
}

void session::select(const argument_list& a, reply_writer& out) {
    if (integer_argument(a[1]) != 0) throw command_error("ERR DB index is out of range");
    out.status("OK");
}

void session::quit(const argument_list&, reply_writer& out) {
    out.status("OK");
    quits_ = true;
}

} // namespace redis_cache
