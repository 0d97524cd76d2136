// The embedded site: serves a site_plan on this machine, with all its bad manners.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <eddy/http/server.hpp>
#include <eddy/task.hpp>

#include "site_plan.hpp"

namespace scraper {

class site {
public:
    explicit site(std::uint32_t seed);

    /// Listens on a port that the kernel picks, and serves in the background from then on.
    [[nodiscard]] eddy::task<> start();
    /// Ends at once what is being served. To be awaited before the site goes, for the handlers refer to it.
    [[nodiscard]] eddy::task<> stop();

    /// Of its first page.
    [[nodiscard]] std::string address() const { return server_.url("/"); }

private:
    [[nodiscard]] eddy::task<eddy::http::response> answer(eddy::http::request q);

    site_plan plan_;
    std::map<std::string, int, std::less<>> asked_; // for flaky pages: how often
    eddy::http::server server_;
};

} // namespace scraper
