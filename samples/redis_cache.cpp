// redis_cache: a cache in memory that speaks the Redis protocol (RESP2), with pipelining and inline commands.
//
//     redis_cache --port N [--max-memory BYTES] [--max-value BYTES] [--max-clients N]
//
// Prints "PORT n" and then "READY" when it listens; N = 0 lets the kernel pick a port. Try it with: redis-cli -p PORT, or
// redis-benchmark -p PORT -t ping,set,get,incr,mset. Ctrl-C ends it when the commands that it has read are answered.
//
// It knows strings, with times to live, and forgets what was not used for longest when there is too much. From top to bottom: the
// protocol (a parser that knows nothing of sockets), the store (which knows nothing of the protocol), the commands, and in the
// end the coroutines: one for each connection, and one that waits for what expires next. All run on one thread: a command is a
// plain function, and nobody sees half of it.
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <limits>
#include <list>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include <eddy/event.hpp>
#include <eddy/loop_clock.hpp>
#include <eddy/race.hpp>
#include <eddy/run.hpp>
#include <eddy/serve.hpp>
#include <eddy/shutdown_signal.hpp>
#include <eddy/sleep.hpp>
#include <eddy/task_group.hpp>
#include <eddy/tcp.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>
#include <eddy/with_cleanup.hpp>

namespace {

using namespace std::chrono_literals;
using clock_type = eddy::loop_clock;

struct options {
    std::uint16_t port = 0;
    std::size_t max_memory = 64u << 20;
    std::size_t max_value = 1u << 20; // also of a key
    std::size_t max_clients = 1000;
};

std::optional<std::int64_t> to_integer(std::string_view text) {
    std::int64_t n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return n;
}

// --- the protocol: https://redis.io/docs/latest/develop/reference/protocol-spec/

constexpr std::size_t max_arguments = 1024;
constexpr std::size_t max_line = 64 * 1024; // of an inline command

/// What the other side sent is no command; nothing after it can be understood.
class protocol_error : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

using argument_list = std::vector<std::string>;

/// Takes bytes as they come and gives the commands that are complete. Holds at most one command and one read more.
class command_parser {
public:
    explicit command_parser(std::size_t max_value) noexcept : max_value_(max_value) {}
    void feed(std::string_view bytes) {
        buffer_.erase(0, std::exchange(position_, 0));
        buffer_.append(bytes);
    }
    /// The next command, never empty; nothing: more bytes are needed. It is valid until the next call.
    [[nodiscard]] const argument_list* next();

private:
    [[nodiscard]] std::optional<std::string_view> line(const char* too_long);
    void begin(std::string_view head);
    [[nodiscard]] bool argument();
    void take_inline(std::string_view text);

    std::string buffer_;
    std::size_t position_ = 0;
    argument_list command_;
    std::size_t missing_ = 0;           // arguments
    std::optional<std::size_t> length_; // of the argument that begins at the position
    std::size_t size_ = 0;              // of the command so far
    bool complete_ = true;
    const std::size_t max_value_;
};

const argument_list* command_parser::next() {
    while (complete_ || missing_ > 0) {
        if (complete_) {
            const auto head = line("Protocol error: too big inline request");
            if (!head) return nullptr;
            begin(*head);
        } else if (!argument()) {
            return nullptr;
        }
        if (!complete_ && missing_ == 0) {
            complete_ = true;
            if (!command_.empty()) return &command_; // an empty one has no answer
        }
    }
    return nullptr;
}

void command_parser::begin(std::string_view head) {
    command_.clear();
    size_ = 0;
    complete_ = false;
    if (!head.starts_with('*')) return take_inline(head);
    const auto count = to_integer(head.substr(1));
    if (!count || *count > static_cast<std::int64_t>(max_arguments)) throw protocol_error("Protocol error: invalid multibulk length");
    missing_ = *count > 0 ? static_cast<std::size_t>(*count) : 0;
}

/// "$5\r\nhello\r\n". False if it is not there yet.
bool command_parser::argument() {
    if (!length_) {
        const auto head = line("Protocol error: too big bulk count string");
        if (!head) return false;
        if (!head->starts_with('$')) throw protocol_error("Protocol error: expected '$', got '" + std::string(head->substr(0, 1)) + "'");
        const auto n = to_integer(head->substr(1));
        if (!n || *n < 0 || *n > static_cast<std::int64_t>(max_value_)) throw protocol_error("Protocol error: invalid bulk length");
        length_ = static_cast<std::size_t>(*n);
        size_ += *length_;
        if (size_ > 4 * max_value_ + max_line) throw protocol_error("Protocol error: the command is too big");
    }
    const std::string_view rest = std::string_view(buffer_).substr(position_);
    if (rest.size() < *length_ + 2) return false;
    if (rest.substr(*length_, 2) != "\r\n") throw protocol_error("Protocol error: a bulk string is longer than announced");
    command_.emplace_back(rest.substr(0, *length_));
    position_ += *length_ + 2;
    length_.reset();
    --missing_;
    return true;
}

std::optional<std::string_view> command_parser::line(const char* too_long) {
    const std::string_view rest = std::string_view(buffer_).substr(position_);
    const std::size_t end = rest.substr(0, max_line).find('\n');
    if (end == std::string_view::npos) {
        if (rest.size() >= max_line) throw protocol_error(too_long);
        return std::nullopt;
    }
    position_ += end + 1;
    return rest.substr(0, end > 0 && rest[end - 1] == '\r' ? end - 1 : end);
}

/// Words, separated by blanks. (Quotes, which Redis knows here, have no meaning.)
void command_parser::take_inline(std::string_view text) {
    constexpr std::string_view blanks = " \t";
    for (;;) {
        text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
        if (text.empty()) return;
        if (command_.size() == max_arguments) throw protocol_error("Protocol error: too many arguments");
        const std::size_t end = std::min(text.find_first_of(blanks), text.size());
        if (end > max_value_) throw protocol_error("Protocol error: an argument is too long");
        command_.emplace_back(text.substr(0, end));
        text.remove_prefix(end);
    }
}

/// Collects replies.
class reply_writer {
public:
    void status(std::string_view text) { line('+', text); }
    void error(std::string_view text) { line('-', text); }
    void integer(std::int64_t n) { line(':', std::to_string(n)); }
    void null() { text_ += "$-1\r\n"; }
    void array(std::size_t n) { line('*', std::to_string(n)); }
    void bulk(std::string_view text) {
        line('$', std::to_string(text.size()));
        text_ += text;
        text_ += "\r\n";
    }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    void clear() noexcept { text_.clear(); }

private:
    void line(char kind, std::string_view text) {
        text_ += kind;
        const std::size_t begin = text_.size();
        text_ += text;
        // An error may quote what a client sent: that must not end the line.
        std::ranges::replace_if(std::span(text_).subspan(begin), [](char c) { return c == '\r' || c == '\n'; }, ' ');
        text_ += "\r\n";
    }
    std::string text_;
};

// --- the store

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

/// [a-z], [^abc]: whether `c` is one of them. Moves the pattern behind it.
bool in_set(std::string_view& pattern, char c) {
    pattern.remove_prefix(1);
    const bool inverted = pattern.starts_with('^');
    if (inverted) pattern.remove_prefix(1);
    bool found = false;
    while (!pattern.empty() && pattern.front() != ']') {
        if (pattern.front() == '\\' && pattern.size() > 1) pattern.remove_prefix(1);
        const char low = pattern.front();
        char high = low;
        if (pattern.size() > 2 && pattern[1] == '-' && pattern[2] != ']') {
            high = pattern[2];
            pattern.remove_prefix(2);
        }
        pattern.remove_prefix(1);
        found = found || (std::min(low, high) <= c && c <= std::max(low, high));
    }
    if (!pattern.empty()) pattern.remove_prefix(1);
    return found != inverted;
}

/// One character of a pattern without a star in front.
bool matches_one(std::string_view& pattern, char c) {
    if (pattern.front() == '[') return in_set(pattern, c);
    const bool any = pattern.front() == '?';
    if (pattern.front() == '\\' && pattern.size() > 1) pattern.remove_prefix(1);
    const bool same = pattern.front() == c;
    pattern.remove_prefix(1);
    return any || same;
}

/// *, ?, [a-z], \x. At a mismatch only the last star has to take more, so that the time is bounded by the product of the sizes.
bool matches(std::string_view pattern, std::string_view text) {
    std::optional<std::string_view> after_star;
    std::string_view text_at_star;
    while (!text.empty() || !pattern.empty()) {
        if (pattern.starts_with('*')) {
            pattern.remove_prefix(1);
            after_star = pattern;
            text_at_star = text;
            continue;
        }
        if (!pattern.empty() && !text.empty() && matches_one(pattern, text.front())) {
            text.remove_prefix(1);
            continue;
        }
        if (!after_star || text_at_star.empty()) return false;
        text_at_star.remove_prefix(1);
        text = text_at_star;
        pattern = *after_star;
    }
    return true;
}

// --- the commands

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
    void ttl(const argument_list& a, reply_writer& out) { out.integer(time_left(a[1], 1s)); }
    void pttl(const argument_list& a, reply_writer& out) { out.integer(time_left(a[1], 1ms)); }
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

// --- the coroutines

/// Removes what expires, when it does. (Nobody sees it after that anyway: this is for the memory.)
eddy::task<> expire_in_time(store& data) {
    for (;;) {
        data.sooner.clear();
        if (const auto next = data.next_expiry())
            co_await eddy::race(eddy::sleep_until(*next), data.sooner.wait());
        else
            co_await data.sooner.wait();
        while (!data.expire(100)) co_await eddy::this_task::yield(); // others have their turns
    }
}

/// Counts who is connected.
class client_count {
public:
    explicit client_count(std::size_t& n) noexcept : n_(n) { ++n_; }
    client_count(const client_count&) = delete;
    client_count& operator=(const client_count&) = delete;
    ~client_count() { --n_; }

private:
    std::size_t& n_;
};

class cache_server {
public:
    explicit cache_server(const options& o) noexcept : cache_(o) {}
    eddy::task<> run();

private:
    eddy::task<> handle(eddy::tcp_stream stream);
    eddy::task<bool> answer(eddy::tcp_stream& stream, command_parser& parser, session& commands);
    cache cache_;
    eddy::shutdown_signal stop_;
    std::uint64_t last_id_ = 0;
};

/// Answers the commands that are complete. What arrived together is answered together: that is what makes pipelining fast.
/// But no more than a portion is kept: a client that does not read its answers is not served on. False: it is over.
eddy::task<bool> cache_server::answer(eddy::tcp_stream& stream, command_parser& parser, session& commands) {
    constexpr std::size_t portion = 64 * 1024;
    reply_writer replies;
    bool goes_on = true;
    try {
        while (goes_on) {
            const argument_list* command = parser.next();
            if (!command) break;
            commands.execute(*command, replies);
            goes_on = !commands.quits();
            if (replies.text().size() < portion) continue;
            co_await stream.write(replies.text());
            replies.clear();
        }
    } catch (const protocol_error& e) {
        replies.error("ERR " + std::string(e.what()));
        goes_on = false;
    }
    if (!replies.text().empty()) co_await stream.write(replies.text());
    co_return goes_on;
}

/// One connection. When the server stops, one that waits for commands ends at once, one that has some when they are answered.
eddy::task<> cache_server::handle(eddy::tcp_stream stream) {
    const client_count counted(cache_.clients);
    session commands(cache_, ++last_id_);
    command_parser parser(cache_.limits.max_value);
    std::array<std::byte, 16 * 1024> buffer;
    try {
        for (bool goes_on = true; goes_on;) {
            auto reading = [&](eddy::cancel_scope&) -> eddy::task<std::size_t> { co_return co_await stream.read_some(buffer); };
            const std::optional<std::size_t> n = co_await eddy::until_shutdown(stop_, reading);
            if (!n || *n == 0) break;
            parser.feed(std::string_view(reinterpret_cast<const char*>(buffer.data()), *n));
            goes_on = co_await answer(stream, parser, commands);
        }
        co_await stream.shutdown_write();
        // Closed with something unread, the connection would be reset, and the last answer perhaps lost.
        auto drain = [&](eddy::cancel_scope&) -> eddy::task<> {
            while (co_await stream.read_some(buffer) > 0) {}
        };
        if (!stop_.requested()) co_await eddy::move_on_after(1s, drain);
    } catch (const std::system_error&) {
        // The client is gone in the middle of it: its business.
    }
}

eddy::task<> cache_server::run() {
    const eddy::ip_endpoint where("0.0.0.0", cache_.limits.port);
    eddy::tcp_listener listener = eddy::tcp_listener::bind(where);
    std::printf("PORT %d\nREADY\n", int{listener.local_endpoint().port()});
    std::fflush(stdout); // somebody may be reading this through a pipe

    auto handler = [this](eddy::tcp_stream s) { return handle(std::move(s)); };
    eddy::server server(std::move(listener), handler, {.max_connections = cache_.limits.max_clients});
    auto serving = [&](eddy::task_group& g) -> eddy::task<> {
        g.spawn(expire_in_time(cache_.data));
        server.start();
        co_await server.join();
    };
    auto stopping = [&]() -> eddy::task<> {
        stop_.request();
        co_await server.shutdown(2s);
    };
    auto until_stopped = [&] { return eddy::with_task_group(serving); };
    co_await eddy::with_cleanup(until_stopped, stopping);
}

// --- the program

std::size_t parse_number(std::string_view name, std::string_view text, std::size_t least, std::size_t most) {
    std::size_t n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc() || end != text.data() + text.size() || n < least || n > most)
        throw std::invalid_argument(std::string(name) + ": '" + std::string(text) + "' is no number from " + std::to_string(least) +
                                    " to " + std::to_string(most));
    return n;
}

options parse_options(std::span<char*> arguments) {
    constexpr std::size_t gigabyte = std::size_t{1} << 30;
    options o;
    bool has_port = false;
    while (!arguments.empty()) {
        const std::string_view name = arguments.front();
        if (arguments.size() < 2)
            throw std::invalid_argument("'" + std::string(name) + "' needs a value, or is no option");
        const std::string_view value = arguments[1];
        arguments = arguments.subspan(2);
        if (name == "--port") {
            o.port = static_cast<std::uint16_t>(parse_number(name, value, 0, 65535));
            has_port = true;
        } else if (name == "--max-memory") {
            o.max_memory = parse_number(name, value, 1000, 1024 * gigabyte);
        } else if (name == "--max-value") {
            o.max_value = parse_number(name, value, 1, gigabyte / 2);
        } else if (name == "--max-clients") {
            o.max_clients = parse_number(name, value, 1, 100'000);
        } else {
            throw std::invalid_argument("there is no option '" + std::string(name) + "'");
        }
    }
    if (!has_port) throw std::invalid_argument("--port is missing");
    return o;
}

eddy::task<> serve_cache(options o) {
    cache_server server(o);
    co_await server.run();
}

} // namespace

int main(int argc, char** argv) {
    try {
        const options o = parse_options(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
        return eddy::run_main(serve_cache(o));
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr, "redis_cache: %s\nusage: redis_cache --port N [--max-memory BYTES] [--max-value BYTES] [--max-clients N]\n",
                     e.what());
        return 2;
    }
}
