#include "service.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <optional>
#include <random>
#include <stdexcept>
#include <utility>

#include <eddy/errors.hpp>
#include <eddy/sleep.hpp>
#include <eddy/timeout.hpp>

#include "web_files.hpp"

namespace jobs_dashboard {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t most_streams = 100;

http::response with_safety(http::response r) {
    r.set("X-Content-Type-Options", "nosniff").set("Referrer-Policy", "no-referrer").set("Cache-Control", "no-store");
    return r;
}
http::response json_response(int status, const json& v) {
    return with_safety(http::response(status, v.dump(-1, ' ', false, json::error_handler_t::replace) + "\n", "application/json"));
}
http::response json_error(int status, const std::string& what) {
    return json_response(status, {{"error", what}});
}
http::response file(std::string_view text, std::string_view type) {
    http::response r = with_safety(http::response(200, std::string(text), type));
    r.set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
                                     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    return r;
}

std::string random_name() {
    std::random_device source;
    std::array<char, 20> text{};
    std::snprintf(text.data(), text.size(), "%08x", static_cast<unsigned>(source()));
    return text.data();
}

} // namespace

/// Counts as long as it is there.
class service::open_stream {
public:
    explicit open_stream(service& s) : service_(s) { ++s.streams_; }
    open_stream(const open_stream&) = delete;
    open_stream& operator=(const open_stream&) = delete;
    ~open_stream() { --service_.streams_; }

private:
    service& service_;
};

service::service(model& m, watcher& w, const options& o)
    : model_(m), watcher_(w), options_(o), guard_(o.hosts), run_(random_name()), published_(std::make_shared<const snapshot>()), server_(routes()) {}

http::router service::routes() {
    http::router r;
    const auto add = [&](std::string_view method, std::string_view pattern, handler h) {
        r.add(method, pattern, [this, h](const http::request& q) { return guarded(h, q); });
    };
    add("GET", "/", &service::page);
    add("GET", "/page.css", &service::style);
    add("GET", "/page.js", &service::script);
    add("GET", "/events", &service::events);
    add("GET", "/api/state", &service::state);
    add("GET", "/api/jobs/{id}", &service::job);
    add("POST", "/api/jobs/{id}/revoke", &service::revoke);
    add("POST", "/api/jobs/{id}/retry", &service::retry);
    add("GET", "/healthz", &service::healthz);
    r.otherwise([](const http::request&) -> answer { co_return json_error(404, "there is no such thing here"); });
    return r;
}

service::answer service::guarded(handler h, const http::request& q) {
    if (const std::optional<std::string> why = guard_.refuse(q)) co_return json_error(403, *why);
    answer making = (this->*h)(q);
    co_return co_await std::move(making);
}

service::answer service::page(const http::request&) {
    co_return file(web::page_html, "text/html; charset=utf-8");
}
service::answer service::style(const http::request&) {
    co_return file(web::page_css, "text/css; charset=utf-8");
}
service::answer service::script(const http::request&) {
    co_return file(web::page_js, "text/javascript; charset=utf-8");
}
service::answer service::healthz(const http::request&) {
    co_return json_response(200, {{"status", "ok"}, {"connected", model_.is_connected()}});
}

service::answer service::state(const http::request&) {
    refresh(unix_now());
    co_return with_safety(http::response(200, published_.get()->text + "\n", "application/json"));
}

service::answer service::job(const http::request& q) {
    const std::optional<json> found = model_.describe(q.path_parameter("id"));
    if (!found) co_return json_error(404, "this job is not known here, or not any more");
    co_return json_response(200, *found);
}

// --- what changes something

service::answer service::revoke(const http::request& q) {
    if (options_.read_only) co_return json_error(403, "this dashboard only shows (--read-only)");
    const std::string id = q.path_parameter("id");
    if (!model_.describe(id) || model_.find_failed(id)) co_return json_error(404, "no such job is running or waiting in a worker");
    try {
        co_await watcher_.revoke(id);
    } catch (const std::exception& e) {
        co_return json_error(503, e.what());
    }
    model_.revoking(id);
    co_return json_response(200, {{"id", id}});
}

service::answer service::retry(const http::request& q) {
    if (options_.read_only) co_return json_error(403, "this dashboard only shows (--read-only)");
    const std::string id = q.path_parameter("id");
    const failed_job* const found = model_.find_failed(id);
    if (!found) co_return json_error(404, "no such job is among the latest that have failed");
    if (!found->sent_again_as.empty()) co_return json_error(409, "it was sent again already, as " + found->sent_again_as);
    std::string as;
    try {
        job_to_send what = model_.to_send_again(*found);
        model_.was_sent_again(id, "…"); // a second click, while we wait, is too late
        as = co_await watcher_.send(std::move(what));
    } catch (const std::invalid_argument& e) {
        co_return json_error(409, e.what());
    } catch (const std::exception& e) {
        model_.was_sent_again(id, "");
        co_return json_error(503, e.what());
    }
    model_.was_sent_again(id, as);
    co_return json_response(200, {{"id", as}, {"was", id}});
}

// --- server-sent events

/// The snapshot is that of now, if anything has changed.
void service::refresh(double now) {
    const auto second = static_cast<std::int64_t>(std::floor(now));
    const bool moved = second != second_ && model_.moves(now);
    if (published_.closed() || (number_ > 0 && model_.version() == shown_ && !moved)) return;
    shown_ = model_.version();
    second_ = second;
    auto s = std::make_shared<snapshot>();
    s->id = run_ + "-" + std::to_string(++number_);
    json all = model_.state(now);
    all["read_only"] = options_.read_only;
    s->text = all.dump(-1, ' ', false, json::error_handler_t::replace);
    published_.set(std::shared_ptr<const snapshot>(std::move(s)));
}

eddy::task<> service::publish() {
    for (;;) {
        co_await eddy::sleep_for(500ms);
        if (streams_ > 0) refresh(unix_now());
    }
}

/// Each event is all there is to show: whoever comes back after a while needs nothing of what came in between, and who is slow
/// gets the latest. A client that has the latest already, by its Last-Event-ID, is not told again.
service::answer service::events(const http::request& q) {
    if (streams_ >= most_streams) co_return json_error(503, "too many pages are open").set("Retry-After", "10");
    std::string last = q.header("Last-Event-ID");
    auto write = [this, last](http::body_writer& out) { return write_events(out, last); };
    http::response r = with_safety(http::response::stream(200, "text/event-stream", write));
    r.set("X-Accel-Buffering", "no"); // nginx must not keep it
    co_return r;
}

eddy::task<> service::write_events(http::body_writer& out, std::string last_id) {
    const open_stream counted(*this);
    refresh(unix_now());
    auto changes = published_.subscribe();
    co_await out.write("retry: 2000\n\n");
    std::optional<std::shared_ptr<const snapshot>> current = published_.get();
    const auto next = [&](eddy::cancel_scope&) -> eddy::task<bool> {
        current = co_await changes.next();
        co_return true;
    };
    for (;;) {
        if ((*current)->id != last_id) {
            last_id = (*current)->id;
            const std::string event = "id: " + last_id + "\nevent: state\ndata: " + (*current)->text + "\n\n";
            co_await out.write(event);
        }
        std::optional<bool> came;
        while (!came) {
            came = co_await eddy::move_on_after(options_.heartbeat, next);
            if (!came) co_await out.write(": still here\n\n");
        }
        if (!current) co_return; // the program ends
    }
}

eddy::task<> service::shutdown() {
    published_.close();
    if (listening()) co_await server_.shutdown(1s);
}

} // namespace jobs_dashboard
