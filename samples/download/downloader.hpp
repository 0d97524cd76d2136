// The transfers: a task for each file, so many at a time, each in pieces.
#pragma once

#include <optional>
#include <string>

#include <eddy/http/client.hpp>
#include <eddy/semaphore.hpp>
#include <eddy/task.hpp>

#include "answer.hpp"
#include "display.hpp"
#include "job.hpp"
#include "options.hpp"
#include "part_file.hpp"

namespace download_manager {

class downloader {
public:
    downloader(options& o, display& d);

    // All of them. One that fails is told and concerns no other.
    eddy::task<> run();

private:
    eddy::task<> run_one(job& j);
    eddy::task<> download(job& j);
    // Piece by piece until it is complete. `mark` is that of what is there already.
    eddy::task<> transfer(job& j, part_file& part, std::string mark);
    // The next piece, or all of it; several times if need be. Nothing if what comes is too large to be a piece: the
    // file has changed, and the server sends the new one.
    eddy::task<std::optional<http::response>> ask(job& j, bool in_pieces, const std::string& mark);

    options& options_;
    display& display_;
    http::client client_;
    eddy::semaphore places_;
};

} // namespace download_manager
