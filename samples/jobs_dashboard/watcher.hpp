// Keeps a model of the cluster up to date, and does what the buttons ask for.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <eddy/event.hpp>
#include <eddy/jobs/client.hpp>
#include <eddy/redis/client.hpp>
#include <eddy/task.hpp>

#include "model.hpp"
#include "options.hpp"

namespace jobs_dashboard {

/// What a button asked for cannot be done now: there is no connection.
class not_connected : public std::runtime_error {
public:
    not_connected() : std::runtime_error("there is no connection to Redis") {}
};

class watcher {
public:
    watcher(model& m, const options& o) : model_(m), options_(o) {}

    /// For ever: connects, and again when the connection is lost.
    eddy::task<> run();

    /// Tells the workers not to run this job, and to stop it if it runs.
    eddy::task<> revoke(std::string id);
    /// Sends it; its new id.
    eddy::task<std::string> send(job_to_send what);

private:
    eddy::task<> watch_once();
    eddy::task<> listen(eddy::redis::subscription& events);
    eddy::task<> measure(eddy::redis::client rc);
    eddy::task<> ask_workers(eddy::jobs::client jc);
    eddy::task<json> ask(eddy::jobs::client jc, std::string method, std::vector<std::string> workers = {});
    [[nodiscard]] eddy::jobs::client client() const;

    model& model_;
    const options& options_;
    std::optional<eddy::jobs::client> client_; // while there is a connection
    eddy::event new_workers_;
};

/// Seconds of the calendar, as events have them.
[[nodiscard]] double unix_now();

} // namespace jobs_dashboard
