// The crawl: from the given addresses along the links, under the limits, until there is nothing left to fetch.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/cancel_scope.hpp>
#include <eddy/event.hpp>
#include <eddy/task.hpp>
#include <eddy/task_group.hpp>

#include "fetcher.hpp"
#include "frontier.hpp"
#include "limits.hpp"
#include "options.hpp"
#include "output.hpp"
#include "report.hpp"
#include "robots_cache.hpp"
#include "statistics.hpp"

namespace scraper {

/// Every page is a task of its own, from the moment a link to it is found: it waits for a place among the requests,
/// asks robots.txt, fetches, has the page parsed on the pool, writes its line and spawns a task for each new link. So
/// there is no queue and no worker loop; the queue is the tasks that wait for a place. They cost a kilobyte or two
/// each.
class crawler {
public:
    crawler(const options& o, output& out, reporter& report, statistics& numbers);

    /// Returns when all pages are done. If it is cancelled, pages that wait are dropped at once, and pages that are
    /// being fetched have `grace` to finish; then it throws `operation_cancelled`. Throws an `exception_group` if the
    /// output cannot be written.
    [[nodiscard]] eddy::task<> run(std::span<const url> start);

    /// Given addresses that could not be fetched.
    [[nodiscard]] std::size_t failed() const noexcept { return failed_; }

    static constexpr std::chrono::seconds grace{3};

private:
    struct page {
        url address;
        bool given = false;        // on the command line, or where that redirects to
        std::size_t redirects = 0; // that led here, one to the next
        int tries = 0;
        bool done = false;
    };
    using delay = std::chrono::milliseconds;
    class visit_mark;
    class running_mark;

    void admit(const url& address, bool given, std::size_t redirects = 0);
    [[nodiscard]] eddy::task<> visit(page p);
    // These two: how long to wait before a further try, or nothing if the page is done.
    [[nodiscard]] eddy::task<std::optional<delay>> try_once(page& p);
    [[nodiscard]] eddy::task<std::optional<delay>> fetch(page& p);
    [[nodiscard]] eddy::task<> finish(page& p, fetch_result& got);
    void follow_links(const page& p, const page_content& content);
    void follow_redirect(const page& p, page_record& record);
    void go_on_at(const page& p, const url& target);
    [[nodiscard]] bool leads_back(const std::string& from) const;
    void tell_failure(const page& p, std::string_view why);
    void interrupt();

    const options& options_;
    output& out_;
    reporter& report_;
    statistics& numbers_;
    fetcher fetcher_;
    robots_cache robots_;
    places places_;
    pace pace_;
    backoff backoff_;
    frontier frontier_;
    std::set<std::string> start_hosts_;
    std::map<std::string, std::string> redirects_; // from where to where
    std::set<eddy::cancel_scope*> running_; // the shields of the pages that are being fetched
    eddy::task_group* pages_ = nullptr;
    eddy::event all_done_;
    std::size_t failed_ = 0;
    bool interrupted_ = false;
};

} // namespace scraper
