// chat_server: a room in which everybody hears everybody, line by line.
//
//     chat_server --port N [--clients N] [--pace LINES-A-SECOND] [--patience MILLISECONDS]
//
// Prints "PORT n" and then "READY" when it listens; N = 0 lets the kernel pick a port. Try it with several of: nc 127.0.0.1 PORT.
// The first line a client sends is its name. Then every line goes to all others, but for these commands: /who, /nick NAME, /quit.
//
// Nobody can make the others wait, or the server grow: a line is sent once, to a `broadcast` of bounded size, from which each client
// is served by itself; who does not read is dropped, with a message on stderr. Names are asked for with a deadline, lines and clients
// are limited, and who says too much is read slower. Ctrl-C tells the clients and ends it when they have been told.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <eddy/broadcast.hpp>
#include <eddy/buffered_reader.hpp>
#include <eddy/race.hpp>
#include <eddy/run.hpp>
#include <eddy/serve.hpp>
#include <eddy/sleep.hpp>
#include <eddy/tcp.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>
#include <eddy/with_cleanup.hpp>

#include "number.hpp"

namespace {

using namespace std::chrono_literals;

constexpr std::size_t longest_line = 1000;        // bytes
constexpr std::size_t longest_name = 16;          // bytes
constexpr std::size_t lines_kept = 256;           // who is further behind is dropped
constexpr std::size_t send_buffer = 64 * 1024;    // the kernel's, of each client
constexpr std::size_t together = 16 * 1024;       // lines that wait are sent in one write, up to so many bytes
constexpr auto time_for_name = 30s;
constexpr auto time_for_farewell = 2s;

struct options {
    std::uint16_t port = 0;
    std::size_t clients = 100;
    std::size_t pace = 20; // lines a second from one client; 0: no limit
    std::chrono::milliseconds patience = 5s;
};

/// What everybody hears; but who said it does not hear it.
class message {
public:
    message(std::string t, const void* f) : text(std::move(t)), from(f) {}
    std::string text; // with its newline
    const void* from;
};

/// Why a conversation is over.
class ending {
public:
    enum class kind : std::uint8_t { left, dropped, too_slow }; // the last two are our doing: stderr tells
    explicit ending(std::string r, kind h = kind::left) : reason(std::move(r)), how(h) {}
    std::string reason;
    kind how;
};

/// What a terminal would obey is not passed on; what is beyond ASCII is (it may be UTF-8).
std::string printable(std::string_view line) {
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
    std::string text(line);
    std::ranges::replace_if(text, [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 127; }, '?');
    return text;
}

bool is_name(std::string_view text) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    };
    return !text.empty() && text.size() <= longest_name && std::ranges::all_of(text, allowed);
}

/// Delays whom speaks too fast; a second's worth of lines may come at once.
class pacemaker {
public:
    explicit pacemaker(std::size_t lines_a_second) noexcept
        : each_(lines_a_second == 0 ? 0ns : std::chrono::nanoseconds(1s) / static_cast<std::int64_t>(lines_a_second)) {}
    eddy::task<> line() {
        next_ = std::max(next_, eddy::loop_clock::now()) + each_;
        co_await eddy::sleep_until(next_ - 1s); // a checkpoint also if that is over
    }

private:
    std::chrono::nanoseconds each_;
    eddy::loop_clock::time_point next_;
};

class room;

/// One client. Two things go on side by side, and the first to end ends the other: listening to what it says, and delivering
/// to it what the others say.
class visitor {
public:
    visitor(room& r, eddy::tcp_stream s);
    visitor(const visitor&) = delete;
    visitor& operator=(const visitor&) = delete;
    ~visitor();

    eddy::task<> visit();

private:
    eddy::task<ending> listen();
    eddy::task<ending> converse();
    eddy::task<> introduce();
    eddy::task<bool> obey(const std::string& command);
    eddy::task<bool> take_name(std::string wanted);
    eddy::task<ending> deliver();
    [[nodiscard]] ending unread() const;
    eddy::task<> send(std::string text);
    eddy::task<> part(const ending& how);

    room& room_;
    eddy::tcp_stream stream_;
    eddy::buffered_reader<eddy::tcp_stream> reader_{stream_, {.limit = longest_line, .chunk = 4096}};
    eddy::subscription<std::shared_ptr<const message>> heard_;
    std::string address_;
    std::string name_; // empty: not given yet
};

class room {
public:
    explicit room(const options& o) : options_(o) {}

    /// The conversation with one client, from its first byte to its end.
    eddy::task<> receive(eddy::tcp_stream stream);
    /// A last word to everybody. What was said before is still delivered; then the visits end.
    void close(std::string_view last_word) {
        say("* " + std::string(last_word) + "\n");
        lines_.close();
    }

    void say(std::string text, const void* from = nullptr) {
        if (!lines_.closed()) lines_.send(std::make_shared<const message>(std::move(text), from));
    }
    [[nodiscard]] auto subscribe() { return lines_.subscribe(); }
    [[nodiscard]] const options& limits() const noexcept { return options_; }
    [[nodiscard]] std::set<std::string>& names() noexcept { return names_; }
    [[nodiscard]] std::string who() const {
        std::string text = "* here:";
        for (const std::string& n : names_) text += " " + n;
        return text + "\n";
    }

private:
    const options options_;
    eddy::broadcast<std::shared_ptr<const message>> lines_{lines_kept};
    std::set<std::string> names_;
};

eddy::task<> room::receive(eddy::tcp_stream stream) {
    try {
        if (lines_.subscribers() >= options_.clients) {
            co_await stream.write("* the room is full, try again later\n"); // there is room for it in a fresh socket's buffer
            co_return;
        }
        visitor v(*this, std::move(stream));
        co_await v.visit();
    } catch (const std::system_error&) {
        // Gone before the conversation began, or while it was told why it ends.
    }
}

visitor::visitor(room& r, eddy::tcp_stream s)
    : room_(r), stream_(std::move(s)), heard_(r.subscribe()), address_(stream_.remote_endpoint().to_string()) {
    stream_.set_keep_alive(true); // some go without a word
}

visitor::~visitor() {
    room_.names().erase(name_);
}

eddy::task<> visitor::visit() {
    auto first = co_await eddy::race(listen(), deliver());
    const ending& how = first.index == 0 ? *first.get<0>() : *first.get<1>();
    if (how.how != ending::kind::left)
        std::fprintf(stderr, "chat_server: dropped %s (%s): %s\n", name_.empty() ? "somebody" : name_.c_str(), address_.c_str(),
                     how.reason.c_str());
    if (!name_.empty()) {
        room_.names().erase(name_);
        room_.say("* " + std::exchange(name_, {}) + " has left (" + how.reason + ")\n", this);
    }
    co_await part(how);
}

/// The client is told why; then its connection is ended so that the words arrive: closing it while there is something unread
/// would reset it, and take away what the client has not read yet. From whom it is vain to wait for that, the kernel takes back
/// what it keeps for it.
eddy::task<> visitor::part(const ending& how) {
    std::string last_word;
    if (how.how == ending::kind::dropped) last_word = "* you are dropped: " + how.reason + "\n";
    auto farewell = [&](eddy::cancel_scope&) -> eddy::task<> {
        co_await stream_.write(last_word);
        co_await stream_.shutdown_write();
        std::array<std::byte, 4096> ignored;
        while (co_await stream_.read_some(ignored) > 0) {}
    };
    bool listens = how.how != ending::kind::too_slow;
    if (listens) listens = co_await eddy::move_on_after(time_for_farewell, farewell);
    if (!listens) stream_.abort();
}

// --- what the client says

eddy::task<ending> visitor::listen() {
    std::optional<ending> how;
    try {
        auto introduction = [this](eddy::cancel_scope&) { return introduce(); };
        co_await eddy::with_timeout(time_for_name, introduction);
        if (!name_.empty()) how = co_await converse();
    } catch (const eddy::limit_overrun&) {
        how.emplace("a line of more than " + std::to_string(longest_line) + " bytes", ending::kind::dropped);
    } catch (const eddy::timeout_error&) {
        how = name_.empty() ? ending("has told no name", ending::kind::dropped) : unread();
    } catch (const eddy::broken_resource&) { // a write of `deliver` was given up in the middle
        how = unread();
    } catch (const std::system_error& e) {
        how.emplace(e.code().message());
    }
    if (!how) how.emplace("gone");
    co_return std::move(*how);
}

eddy::task<> visitor::introduce() {
    co_await send("* what is your name?\n");
    auto lines = reader_.lines();
    while (name_.empty()) {
        const std::optional<std::string> line = co_await lines.next();
        if (!line) co_return;
        std::string wanted = printable(*line);
        static_cast<void>(co_await take_name(std::move(wanted))); // the client is told of what is wrong with it
    }
    room_.say("* " + name_ + " has come\n", this);
    std::string greeting = "* welcome, " + name_ + "\n" + room_.who();
    co_await send(std::move(greeting));
}

eddy::task<ending> visitor::converse() {
    pacemaker pace(room_.limits().pace);
    auto lines = reader_.lines();
    while (const auto line = co_await lines.next()) {
        const std::string text = printable(*line);
        if (text.empty()) continue;
        co_await pace.line();
        co_await eddy::this_task::yield(); // who listens has a turn after each line, however many arrived at once
        if (!text.starts_with('/')) {
            room_.say(name_ + ": " + text + "\n", this);
        } else if (text == "/quit") {
            co_return ending("quit");
        } else if (!co_await obey(text)) {
            std::string answer = "* there is no command '" + text + "'; known: /who, /nick NAME, /quit\n";
            co_await send(std::move(answer));
        }
    }
    co_return ending("gone");
}

eddy::task<bool> visitor::obey(const std::string& command) {
    if (command == "/who") {
        std::string answer = room_.who();
        co_await send(std::move(answer));
        co_return true;
    }
    constexpr std::string_view nick = "/nick ";
    if (!command.starts_with(nick)) co_return false;
    const std::string before = name_;
    std::string wanted = command.substr(nick.size());
    if (co_await take_name(std::move(wanted))) room_.say("* " + before + " is now " + name_ + "\n");
    co_return true;
}

/// False if that is no name, or somebody else's; the client is told.
eddy::task<bool> visitor::take_name(std::string wanted) {
    std::string problem;
    if (!is_name(wanted))
        problem = "* a name is 1 to " + std::to_string(longest_name) + " letters, digits, - and _\n";
    else if (!room_.names().insert(wanted).second)
        problem = "* " + wanted + " is taken\n";
    if (problem.empty()) {
        room_.names().erase(name_);
        name_ = std::move(wanted);
        co_return true;
    }
    co_await send(std::move(problem));
    co_return false;
}

// --- what the client is told

eddy::task<ending> visitor::deliver() {
    try {
        while (auto next = co_await heard_.next()) {
            std::string text;
            do {
                const message& m = **next;
                // Who has not introduced itself yet hears the server only.
                if (m.from != this && (m.from == nullptr || !name_.empty())) text += m.text;
            } while (text.size() < together && (next = heard_.try_next()));
            if (!text.empty()) co_await send(std::move(text));
        }
        co_return ending("the room is closed");
    } catch (const eddy::lagged& e) {
        co_return ending("too slow, has missed " + std::to_string(e.missed()) + " lines", ending::kind::too_slow);
    } catch (const eddy::timeout_error&) {
        co_return unread();
    } catch (const eddy::broken_resource&) { // an answer of `listen` was given up in the middle
        co_return unread();
    } catch (const std::system_error& e) {
        co_return ending(e.code().message());
    }
}

ending visitor::unread() const {
    return ending("too slow, has not read for " + std::to_string(room_.limits().patience.count()) + " ms", ending::kind::too_slow);
}

/// From both sides; the stream keeps the order and tears nothing.
eddy::task<> visitor::send(std::string text) {
    auto writing = [&](eddy::cancel_scope&) -> eddy::task<> { co_await stream_.write(text); };
    co_await eddy::with_timeout(room_.limits().patience, writing);
}

// --- the program

eddy::task<> serve_chat(options o) {
    const eddy::ip_endpoint where("0.0.0.0", o.port);
    eddy::tcp_listener listener = eddy::tcp_listener::bind(where, {.send_buffer_size = send_buffer});
    std::printf("PORT %d\nREADY\n", int{listener.local_endpoint().port()});
    std::fflush(stdout); // somebody may be reading this through a pipe

    room lobby(o);
    auto handler = [&lobby](eddy::tcp_stream s) { return lobby.receive(std::move(s)); };
    eddy::server server(std::move(listener), handler, {.max_connections = o.clients + 16}); // those beyond are told that it is full
    server.start();
    auto serving = [&] { return server.join(); };
    // However that ends, by Ctrl-C for one: who reads what it is told leaves at once, the others within the grace period.
    auto closing = [&]() -> eddy::task<> {
        lobby.close("the server is shutting down");
        co_await server.shutdown(time_for_farewell);
    };
    co_await eddy::with_cleanup(serving, closing);
}

options parse_options(std::span<char*> arguments) {
    options o;
    bool has_port = false;
    while (!arguments.empty()) {
        const std::string_view name = arguments.front();
        if (arguments.size() < 2)
            throw std::invalid_argument("'" + std::string(name) + "' needs a value, or is no option");
        const std::string_view value = arguments[1];
        arguments = arguments.subspan(2);
        if (name == "--port") {
            o.port = samples::parse_number<std::uint16_t>(name, value, 0, 65535);
            has_port = true;
        } else if (name == "--clients") {
            o.clients = samples::parse_number<std::size_t>(name, value, 1, 100'000);
        } else if (name == "--pace") {
            o.pace = samples::parse_number<std::size_t>(name, value, 0, 1'000'000);
        } else if (name == "--patience") {
            o.patience = std::chrono::milliseconds(samples::parse_number<std::uint32_t>(name, value, 1, 3'600'000));
        } else {
            throw std::invalid_argument("there is no option '" + std::string(name) + "'");
        }
    }
    if (!has_port) throw std::invalid_argument("--port is missing");
    return o;
}

} // namespace

int main(int argc, char** argv) {
    try {
        const options o = parse_options(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
        return eddy::run_main(serve_chat(o));
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr,
                     "chat_server: %s\nusage: chat_server --port N [--clients N] [--pace LINES-A-SECOND] [--patience MILLISECONDS]\n",
                     e.what());
        return 2;
    }
}
