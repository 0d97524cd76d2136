// http_service: an HTTP service with what operations ask of one: metrics, a health check, an access log, an orderly
// end.
//
//     http_service --port N [--address A] [--files FOLDER] [--drain S] [--grace S]
//
//     GET /                 what there is, as JSON
//     GET /hello/{name}     a greeting
//     GET /notes/{key}      a note that was PUT there; PUT /notes/{key} keeps the body
//     GET /primes/{n}       how many primes there are below n: computed on the pool, so that nobody waits for it
//     GET /bytes/{n}        n bytes, made while they are sent; or the part that a Range header asks for
//     GET /files/{path...}  what is in FOLDER: ranges, conditional requests
//     GET /metrics          for Prometheus
//     GET /healthz          200; 503 from the moment on that it is about to end
//
// Prints "PORT n" and then "READY" when it listens, on 127.0.0.1 unless told otherwise; N = 0 lets the kernel pick a
// port. The access log goes to standard error, in the format of Apache and nginx.
//
// SIGTERM or Ctrl-C: /healthz says 503 and all the rest goes on for --drain seconds (default 1), in which load
// balancers look elsewhere. Then no more connections are taken, and requests that run may end within --grace seconds
// (default 10). A second signal ends it at once.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <eddy/capacity_limiter.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/histogram.hpp>
#include <eddy/http/access_log.hpp>
#include <eddy/http/body_reader.hpp>
#include <eddy/http/body_writer.hpp>
#include <eddy/http/byte_range.hpp>
#include <eddy/http/message.hpp>
#include <eddy/http/router.hpp>
#include <eddy/http/server.hpp>
#include <eddy/http/static_files.hpp>
#include <eddy/offload.hpp>
#include <eddy/queue.hpp>
#include <eddy/run.hpp>
#include <eddy/sleep.hpp>
#include <eddy/task_group.hpp>
#include <eddy/with_cleanup.hpp>

namespace {

namespace http = eddy::http;
using namespace std::chrono_literals;

struct options {
    std::string address = "127.0.0.1";
    std::string files; // a folder
    std::uint16_t port = 0;
    std::chrono::seconds drain = 1s;
    std::chrono::seconds grace = 10s;
};

template <class T>
std::optional<T> to_number(std::string_view text) {
    T value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// --- JSON

// How many bytes the character that `text` begins with has in UTF-8; 0 if it is none. Forms that are too long,
// surrogates and what is beyond Unicode are told by the second byte.
std::size_t utf8_size(std::string_view text) {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
    const unsigned first = byte(0);
    const unsigned second = byte(1);
    if (first < 0x80) return 1;
    const std::size_t size = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    for (std::size_t i = 1; i < size; ++i)
        if ((byte(i) & 0xc0U) != 0x80) return 0;
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)) return 0;
    if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) return 0;
    return size;
}

// As a JSON string, quotes and all. What is not UTF-8 is replaced: JSON has no way to say it.
std::string in_quotes(std::string_view text) {
    std::string out = "\"";
    while (!text.empty()) {
        const std::size_t size = utf8_size(text);
        const auto c = static_cast<unsigned char>(text.front());
        if (size == 0)
            out += "\\ufffd";
        else if (c < 0x20 || c == 0x7f)
            out += fmt::format("\\u{:04x}", unsigned{c});
        else if (c == '"' || c == '\\')
            (out += '\\') += text.front();
        else
            out += text.substr(0, size);
        text.remove_prefix(std::max<std::size_t>(size, 1));
    }
    return out += '"';
}

http::response json(int status, std::string text) {
    return http::response(status, std::move(text) + "\n", "application/json");
}

http::response json_error(int status, std::string_view what) {
    return json(status, "{\"error\":" + in_quotes(what) + "}");
}

// --- access log

// Standard error may be a pipe that nobody reads. So lines are written by a task of their own, on the blocking pool,
// and when it cannot keep up they are dropped and counted: a service does not stop because of its log.
class access_log {
public:
    void add(std::string line) {
        if (lines_.closed() || !lines_.try_push(std::move(line))) ++dropped_;
    }
    // Writes until the log is closed and all that was added has been written.
    eddy::task<> run() {
        for (;;) {
            std::string batch;
            try {
                batch = co_await lines_.pop();
            } catch (const eddy::queue_closed&) {
                co_return;
            }
            std::size_t count = 1;
            for (; !lines_.empty() && batch.size() < 64 * 1024; ++count) batch += *lines_.try_pop();
            const bool written = co_await eddy::offload(eddy::this_loop().blocking_pool(), &write, std::move(batch));
            if (!written) dropped_ += count;
        }
    }
    void close() noexcept { lines_.close(); }
    [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }

private:
    static bool write(const std::string& text) {
        return std::fwrite(text.data(), 1, text.size(), stderr) == text.size();
    }
    eddy::queue<std::string> lines_{4096};
    std::uint64_t dropped_ = 0;
};

// --- metrics

// The text format of Prometheus, version 0.0.4.
class metrics_page {
public:
    void family(std::string_view name, std::string_view type, std::string_view help) {
        text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
    }
    // `labels` as {a="b"}, or nothing.
    template <class T>
    void sample(std::string_view name, std::string_view labels, T value) {
        text_ +=
            fmt::format("{}{}{}{} {}\n", name, labels.empty() ? "" : "{", labels, labels.empty() ? "" : "}", value);
    }
    template <class T>
    void single(std::string_view name, std::string_view type, std::string_view help, T value) {
        family(name, type, help);
        sample(name, "", value);
    }
    // A histogram with a bucket for each power of two from 2^first to 2^last, in units of `unit` seconds. A value is a
    // whole number, and in a bucket if it is at most 2^n - 1: that is the bound to be told.
    void histogram(std::string_view name, std::string_view labels, const eddy::histogram& h, std::size_t first,
                   std::size_t last, double unit) {
        const std::string separator = labels.empty() ? "" : ",";
        const std::string bucket = std::string(name) + "_bucket";
        std::uint64_t below = 0;
        for (std::size_t n = 0; n <= last; ++n) {
            below += h.buckets()[n];
            if (n < first) continue;
            const double bound = static_cast<double>((std::uint64_t{1} << n) - 1) * unit;
            sample(bucket, fmt::format("{}{}le=\"{:.9g}\"", labels, separator, bound), below);
        }
        sample(bucket, fmt::format("{}{}le=\"+Inf\"", labels, separator), h.count());
        sample(std::string(name) + "_sum", labels, static_cast<double>(h.sum()) * unit);
        sample(std::string(name) + "_count", labels, h.count());
    }
    [[nodiscard]] http::response take() && {
        return http::response(200, std::move(text_), "text/plain; version=0.0.4; charset=utf-8");
    }

private:
    std::string text_;
};

void write_loop_metrics(metrics_page& page, const eddy::loop_stats& s) {
    page.single("eddy_loop_ticks_total", "counter", "Rounds of the event loop.", s.ticks);
    page.single("eddy_loop_steps_total", "counter", "Callbacks and task steps that ran.", s.steps);
    page.single("eddy_loop_polls_total", "counter", "Times the kernel was asked for events.", s.polls);
    page.single("eddy_loop_posts_total", "counter", "Messages from other threads.", s.posts);
    page.single("eddy_loop_tasks", "gauge", "Tasks that are alive.", s.tasks);
    page.single("eddy_loop_timers", "gauge", "Timers that are set.", s.timers);
    page.single("eddy_loop_pending_operations", "gauge", "Operations that wait for the kernel.", s.pending_operations);
    page.single("eddy_loop_pool_jobs", "gauge", "Calls given to worker pools and not finished.", s.pool_jobs);
    page.family("eddy_loop_tick_seconds", "histogram", "How long a round kept all others waiting.");
    page.histogram("eddy_loop_tick_seconds", "", s.tick_time, 12, 30, 1e-9); // 4 µs to 1 s
}

// --- service

// What runs on a worker thread: ordinary code, which looks at the token now and then, for the client may be gone or the
// service about to end.
std::uint64_t count_primes(std::stop_token stop, std::uint32_t below) {
    std::uint64_t count = 0;
    for (std::uint32_t n = 2; n < below; ++n) {
        if (n % 1024 == 0 && stop.stop_requested()) throw eddy::operation_cancelled();
        bool prime = true;
        for (std::uint32_t d = 2; std::uint64_t{d} * d <= n && prime; ++d) prime = n % d != 0;
        count += prime ? 1 : 0;
    }
    return count;
}

// The bytes of /bytes from `first` on.
void fill(std::span<char> block, std::uint64_t first) {
    for (char& c : block) c = static_cast<char>((first++ * 2654435761U) >> 13U);
}

class service {
public:
    service(access_log& log, const options& o) : log_(log), files_(o.files.empty() ? "." : o.files), server_(routes(o)) {
        server_.on_access([this](const http::access_record& r) {
            ++responses_[r.status];
            log_.add(http::common_log_line(r) + "\n");
        });
    }

    eddy::task<> listen(eddy::ip_endpoint where) { return server_.listen(where); }
    [[nodiscard]] std::uint16_t port() const noexcept { return server_.port(); }
    void begin_to_end() noexcept { ending_ = true; }
    eddy::task<> shutdown(std::chrono::nanoseconds grace) { return server_.shutdown(grace); }

private:
    using answer = eddy::task<http::response>;
    using handler = answer (service::*)(const http::request&);

    struct route_numbers {
        std::map<int, std::uint64_t> by_status;
        eddy::histogram microseconds;
    };

    http::router routes(const options& o) {
        http::router r;
        add(r, "GET", "/", &service::index);
        add(r, "GET", "/hello/{name}", &service::hello);
        add(r, "GET", "/notes/{key}", &service::get_note);
        r.put("/notes/{key}", [this](const http::request& q, http::body_reader& body) { return put_note(q, body); });
        names_.emplace_back("PUT /notes/{key}");
        add(r, "GET", "/primes/{n}", &service::primes);
        add(r, "GET", "/bytes/{n}", &service::bytes);
        if (!o.files.empty()) add(r, "GET", "/files/{path...}", &service::files);
        add(r, "GET", "/metrics", &service::metrics);
        add(r, "GET", "/healthz", &service::healthz);
        r.otherwise([](const http::request&) -> answer { co_return json_error(404, "there is no such thing here; see /"); });
        return r;
    }

    // By route, not by path: the number of series must not depend on what clients ask for.
    void add(http::router& r, std::string_view method, std::string_view pattern, handler h) {
        r.add(method, pattern, [this, pattern, h](const http::request& q) { return timed(numbers_[pattern], h, q); });
        names_.push_back(fmt::format("{} {}", method, pattern));
    }

    // Each request is a task of its own, or rather its connection's; all run on one thread, so what they share needs no
    // lock.
    answer timed(route_numbers& numbers, handler h, const http::request& q) {
        const auto since = eddy::loop_clock::now();
        const in_flight counted(requests_in_flight_);
        answer making = (this->*h)(q);
        http::response r = co_await std::move(making);
        const std::chrono::nanoseconds took = eddy::loop_clock::now() - since;
        ++numbers.by_status[r.status];
        numbers.microseconds.add(
            static_cast<std::uint64_t>(std::chrono::floor<std::chrono::microseconds>(took).count()));
        co_return r;
    }

    answer index(const http::request&) {
        std::string list;
        for (const std::string& name : names_) list += (list.empty() ? "" : ",") + in_quotes(name);
        co_return json(200, "{\"routes\":[" + list + "]}");
    }

    answer hello(const http::request& q) { co_return json(200, "{\"hello\":" + in_quotes(q.path_parameter("name")) + "}"); }

    answer get_note(const http::request& q) {
        const auto found = notes_.find(q.path_parameter("key"));
        if (found == notes_.end()) co_return json_error(404, "no such note");
        co_return json(200, "{\"note\":" + in_quotes(found->second) + "}");
    }
    // Asked before the body is there: who may not put a note need not send it, and 413 comes by itself.
    answer put_note(const http::request& q, http::body_reader& body) {
        const std::string& key = q.path_parameter("key");
        if (notes_.size() >= 1000 && !notes_.contains(key)) co_return json_error(507, "there are 1000 notes already");
        std::string note = co_await body.read_all(64 * 1024);
        const bool created = notes_.insert_or_assign(key, std::move(note)).second;
        co_return http::response(created ? 201 : 204);
    }

    // As many at a time as there are cores, and not many more may wait: who comes later is told at once, and the rest
    // goes on.
    answer primes(const http::request& q) {
        const std::optional<std::uint32_t> below = to_number<std::uint32_t>(q.path_parameter("n"));
        if (!below || *below > 10'000'000) co_return json_error(400, "a number up to 10000000 is wanted");
        if (computing_.waiting() >= 100) co_return json_error(503, "busy").set("Retry-After", "1");
        const std::uint64_t count = co_await eddy::offload(computing_, count_primes, *below);
        co_return json(200, fmt::format("{{\"below\":{},\"primes\":{}}}", *below, count));
    }

    // However many they are, 64 KiB of them are in memory: a write returns when the kernel has taken them.
    answer bytes(const http::request& q) {
        const std::optional<std::uint64_t> size = to_number<std::uint64_t>(q.path_parameter("n"));
        if (!size || *size > (std::uint64_t{1} << 40U)) co_return json_error(400, "a number up to 2^40 is wanted");
        const std::string tag = fmt::format("\"bytes-{}\"", *size);
        const bool if_range = q.header("If-Range").empty() || q.header("If-Range") == tag;
        const auto range = if_range ? http::parse_range(q.header("Range"), *size) : std::nullopt;
        if (range && range->size == 0)
            co_return json_error(416, "there is nothing behind the end").set("Content-Range", fmt::format("bytes */{}", *size));
        const http::byte_range part = range.value_or(http::byte_range{0, *size});
        auto make = [part](http::body_writer& out) -> eddy::task<> {
            std::vector<char> block(64 * 1024);
            while (out.written() < part.size) {
                const auto piece = std::span(block).first(std::min<std::uint64_t>(block.size(), part.size - out.written()));
                fill(piece, part.first + out.written());
                co_await out.write(std::as_bytes(piece));
            }
        };
        http::response r = http::response::stream(range ? 206 : 200, "application/octet-stream", make);
        r.content_length(part.size).set("ETag", tag).set("Accept-Ranges", "bytes");
        if (range)
            r.set("Content-Range", fmt::format("bytes {}-{}/{}", part.first, part.first + part.size - 1, *size));
        co_return r;
    }

    answer files(const http::request& q) { return files_(q); }

    answer healthz(const http::request&) {
        if (ending_) co_return json(503, R"({"status":"ending"})");
        co_return json(200, R"({"status":"ok"})");
    }

    answer metrics(const http::request&) {
        metrics_page page;
        page.family("http_responses_total", "counter", "Answers, by status; 0: there could be none.");
        for (const auto& [status, count] : responses_)
            page.sample("http_responses_total", fmt::format("status=\"{}\"", status), count);
        page.family("http_requests_total", "counter", "Answers of handlers, by route and status.");
        for (const auto& [pattern, numbers] : numbers_)
            for (const auto& [status, count] : numbers.by_status)
                page.sample("http_requests_total", fmt::format("route=\"{}\",status=\"{}\"", pattern, status), count);
        page.family("http_request_duration_seconds", "histogram",
                    "From the whole request to the answer, or its head, by route.");
        for (const auto& [pattern, numbers] : numbers_)
            page.histogram("http_request_duration_seconds", fmt::format("route=\"{}\"", pattern), numbers.microseconds,
                           7, 24, 1e-6); // 127 µs to 16 s
        page.single("http_requests_in_flight", "gauge", "Requests that are being answered, this one included.",
                    requests_in_flight_);
        page.single("http_connections", "gauge", "Connections that are open.", server_.connections());
        page.single("access_log_dropped_lines_total", "counter", "Lines that could not be written in time.",
                    log_.dropped());
        write_loop_metrics(page, eddy::this_loop().stats());
        co_return std::move(page).take();
    }

    class in_flight {
    public:
        explicit in_flight(std::size_t& n) : n_(n) { ++n_; }
        in_flight(const in_flight&) = delete;
        in_flight& operator=(const in_flight&) = delete;
        ~in_flight() { --n_; }

    private:
        std::size_t& n_;
    };

    access_log& log_;
    http::static_files files_;
    std::vector<std::string> names_; // of the routes
    std::map<std::string_view, route_numbers> numbers_;
    std::map<int, std::uint64_t> responses_;
    std::map<std::string, std::string> notes_;
    eddy::capacity_limiter computing_{static_cast<std::ptrdiff_t>(std::max(1U, std::thread::hardware_concurrency()))};
    std::size_t requests_in_flight_ = 0;
    bool ending_ = false;
    http::server server_; // last: what its handlers use outlives it
};

// Else its writer would wait for ever.
class closes_log {
public:
    explicit closes_log(access_log& log) : log_(log) {}
    closes_log(const closes_log&) = delete;
    closes_log& operator=(const closes_log&) = delete;
    ~closes_log() { log_.close(); }

private:
    access_log& log_;
};

eddy::task<> run_service(const options& o) {
    access_log log;
    service s(log, o);
    co_await eddy::with_task_group([&](eddy::task_group& g) -> eddy::task<> {
        // In a shield, for it ends by itself: when the log is closed. A signal must not cost the last lines.
        auto write_log = [&]() -> eddy::task<> { co_await eddy::with_shield([&] { return log.run(); }); };
        g.spawn(write_log);

        auto serve = [&]() -> eddy::task<> {
            const eddy::ip_endpoint where(o.address, o.port);
            co_await s.listen(where);
            fmt::print("PORT {}\nREADY\n", s.port());
            std::fflush(stdout);
            co_await eddy::sleep_for(
                std::chrono::nanoseconds::max()); // the server is a task of its own; a signal cancels this one
        };
        auto finish = [&]() -> eddy::task<> {
            const closes_log at_end(log);
            s.begin_to_end();
            if (s.port() == 0) co_return; // it could not even listen
            co_await eddy::sleep_for(o.drain);
            co_await s.shutdown(o.grace);
        };
        co_await eddy::with_cleanup(serve, finish, o.drain + o.grace + 2s);
    });
}

// --- options

template <class T>
T parse_number(std::string_view name, std::string_view text, T most) {
    const std::optional<T> value = to_number<T>(text);
    if (!value || *value > most)
        throw std::invalid_argument(fmt::format("{}: '{}' is no number from 0 to {}", name, text, most));
    return *value;
}

options parse_options(std::span<char*> arguments) {
    options o;
    bool port_given = false;
    while (!arguments.empty()) {
        const std::string_view name = arguments.front();
        if (arguments.size() < 2) throw std::invalid_argument(fmt::format("'{}' needs a value, or is no option", name));
        const std::string_view value = arguments[1];
        arguments = arguments.subspan(2);
        if (name == "--port") {
            o.port = parse_number<std::uint16_t>(name, value, 65535);
            port_given = true;
        } else if (name == "--address") {
            o.address = value;
        } else if (name == "--files") {
            o.files = value;
        } else if (name == "--drain") {
            o.drain = std::chrono::seconds(parse_number<std::uint32_t>(name, value, 3600));
        } else if (name == "--grace") {
            o.grace = std::chrono::seconds(parse_number<std::uint32_t>(name, value, 3600));
        } else {
            throw std::invalid_argument(fmt::format("there is no option '{}'", name));
        }
    }
    if (!port_given) throw std::invalid_argument("--port is missing");
    static_cast<void>(eddy::ip_endpoint(o.address, o.port)); // throws, naming the text, if it is no address
    return o;
}

} // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN); // the reader of our log may go
    try {
        const options o = parse_options(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
        return eddy::run_main(run_service(o), {.grace = o.drain + o.grace + 5s}); // longer than what we take ourselves
    } catch (const std::invalid_argument& e) {
        fmt::print(stderr,
                   "http_service: {}\nusage: http_service --port N [--address A] [--files FOLDER] [--drain S] [--grace S]\n",
                   e.what());
        return 2;
    }
}
