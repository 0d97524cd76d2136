// The page, the API beneath it and the stream of events.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <eddy/http/body_writer.hpp>
#include <eddy/http/message.hpp>
#include <eddy/http/router.hpp>
#include <eddy/http/server.hpp>
#include <eddy/task.hpp>
#include <eddy/tcp.hpp>
#include <eddy/watch.hpp>

#include "model.hpp"
#include "options.hpp"
#include "request_guard.hpp"
#include "watcher.hpp"

namespace jobs_dashboard {

namespace http = eddy::http;

/// What all pages are shown at the moment: made once, and sent to each.
class snapshot {
public:
    std::string id;   // of the event
    std::string text; // JSON, on one line
};

class service {
public:
    service(model& m, watcher& w, const options& o);

    eddy::task<> listen(eddy::ip_endpoint where) { return server_.listen(where); }
    [[nodiscard]] std::string url() const { return server_.url(); }
    [[nodiscard]] bool listening() const noexcept { return server_.port() != 0; }
    /// For ever: tells the pages what has changed, at most twice a second.
    eddy::task<> publish();
    /// The streams end, then the server.
    eddy::task<> shutdown();

private:
    using answer = eddy::task<http::response>;
    using handler = answer (service::*)(const http::request&);
    class open_stream;

    http::router routes();
    answer guarded(handler h, const http::request& q);
    answer page(const http::request& q);
    answer style(const http::request& q);
    answer script(const http::request& q);
    answer state(const http::request& q);
    answer events(const http::request& q);
    answer job(const http::request& q);
    answer revoke(const http::request& q);
    answer retry(const http::request& q);
    answer healthz(const http::request& q);

    eddy::task<> write_events(http::body_writer& out, std::string last_id);
    void refresh(double now);

    model& model_;
    watcher& watcher_;
    const options& options_;
    request_guard guard_;
    std::string run_; // tells this run's event ids from those of another
    std::uint64_t shown_ = 0; // the model's version in the snapshot
    std::int64_t second_ = 0; // and its time
    std::uint64_t number_ = 0;
    std::size_t streams_ = 0;
    eddy::watch<std::shared_ptr<const snapshot>> published_;
    http::server server_; // last: what its handlers use outlives it
};

} // namespace jobs_dashboard
