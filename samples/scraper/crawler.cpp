#include "crawler.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <eddy/offload.hpp>
#include <eddy/sleep.hpp>
#include <eddy/this_task.hpp>

namespace scraper {
namespace {

constexpr std::size_t redirect_limit = 10;

bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool is_html_page(const fetch_result& got) {
    if (got.status < 200 || got.status >= 300) return false;
    std::string type = got.content_type.substr(0, got.content_type.find(';'));
    for (char& c : type)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (type.empty()) return !got.body.empty();
    return type.starts_with("text/html") || type.starts_with("application/xhtml+xml");
}

} // namespace

// Counts a page from its admission to its end, however it ends.
class crawler::visit_mark {
public:
    visit_mark(crawler& c, const page& p) : crawler_(c), page_(p) {}
    visit_mark(const visit_mark&) = delete;
    visit_mark& operator=(const visit_mark&) = delete;
    ~visit_mark() {
        if (!page_.done) ++crawler_.numbers_.dropped;
        if (--crawler_.numbers_.unfinished == 0) crawler_.all_done_.set();
    }

private:
    crawler& crawler_;
    const page& page_;
};

// While a page is being fetched its shield is known to the crawler, which may set it a deadline.
class crawler::running_mark {
public:
    running_mark(crawler& c, eddy::cancel_scope& shield) : crawler_(c), shield_(shield) {
        crawler_.running_.insert(&shield_);
        ++crawler_.numbers_.running;
    }
    running_mark(const running_mark&) = delete;
    running_mark& operator=(const running_mark&) = delete;
    ~running_mark() {
        crawler_.running_.erase(&shield_);
        --crawler_.numbers_.running;
    }

private:
    crawler& crawler_;
    eddy::cancel_scope& shield_;
};

crawler::crawler(const options& o, output& out, reporter& report, statistics& numbers)
    : options_(o), out_(out), report_(report), numbers_(numbers), fetcher_(o), robots_(fetcher_, o),
      places_(o.concurrency, o.per_host), pace_(o.rate), backoff_(o.first_retry_delay), frontier_(o.depth) {}

eddy::task<> crawler::run(std::span<const url> start) {
    co_await eddy::with_task_group([&](eddy::task_group& pages) -> eddy::task<> {
        pages_ = &pages;
        for (const url& address : start) start_hosts_.insert(address.host);
        for (const url& address : start)
            for (const frontier::found& f : frontier_.start(address)) admit(f.address, true);
        // The group would wait for the pages anyway. Waiting here shows us the cancellation as soon as it comes.
        try {
            if (numbers_.unfinished > 0) co_await all_done_.wait();
        } catch (const eddy::operation_cancelled&) {
            interrupt();
            throw;
        }
    });
}

void crawler::interrupt() {
    interrupted_ = true;
    if (!out_.failed()) report_.tell_interruption(running_.size(), grace);
    // If the output has failed there is nothing to finish for.
    const auto deadline = eddy::loop_clock::now() + (out_.failed() ? std::chrono::seconds(0) : grace);
    for (eddy::cancel_scope* shield : running_) shield->reschedule(deadline);
}

void crawler::admit(const url& address, bool given, std::size_t redirects) {
    ++numbers_.unfinished;
    pages_->spawn(visit(page{.address = address, .given = given, .redirects = redirects}), {.name = address.text});
}

eddy::task<> crawler::visit(page p) {
    const visit_mark mark(*this, p);
    for (;;) {
        const std::optional<delay> pause = co_await try_once(p);
        if (!pause) co_return;
        co_await eddy::sleep_for(*pause);
    }
}

eddy::task<std::optional<crawler::delay>> crawler::try_once(page& p) {
    const places::place place = co_await places_.take(p.address.host);
    co_await pace_.turn();
    co_await eddy::this_task::checkpoint(); // all of the above may go by without one
    // Up to here an interruption drops the page. From here on it is finished, if that takes no longer than the grace.
    std::optional<delay> pause;
    co_await eddy::with_shield([&](eddy::cancel_scope& shield) -> eddy::task<> {
        const running_mark mark(*this, shield);
        pause = co_await fetch(p);
    });
    co_return pause;
}

eddy::task<std::optional<crawler::delay>> crawler::fetch(page& p) {
    if (++p.tries > 1) ++numbers_.further_tries;
    const robots_cache::verdict robots = co_await robots_.check(p.address);
    fetch_result got;
    if (robots.allowed)
        got = co_await fetcher_.get(p.address);
    else
        got.error = robots.error;
    if (got.may_pass && p.tries <= options_.retries && !interrupted_)
        co_return backoff_.delay(p.tries, got.retry_after);

    if (robots.allowed || robots.error)
        co_await finish(p, got);
    else {
        ++numbers_.disallowed;
        if (p.given) tell_failure(p, "its site's robots.txt does not allow it");
    }
    p.done = true;
    co_return std::nullopt;
}

eddy::task<> crawler::finish(page& p, fetch_result& got) {
    page_record record{.address = p.address.text,
                       .depth = frontier_.depth(p.address),
                       .tries = p.tries,
                       .status = got.status,
                       .error = std::move(got.error),
                       .elapsed = got.elapsed,
                       .bytes = got.bytes,
                       .content_type = got.content_type,
                       .location = std::move(got.location),
                       .content = std::nullopt};
    if (is_html_page(got)) {
        // Parsing takes milliseconds, and a loop that is busy for milliseconds serves nobody else: so the pool does it.
        auto parsing = eddy::offload(parse_page, std::move(got.body), got.content_type, p.address);
        record.content = co_await parsing;
    }
    if (is_redirect(got.status)) follow_redirect(p, record);
    if (record.content) follow_links(p, *record.content);

    if (p.given && record.error)
        tell_failure(p, record.error->message);
    else if (p.given && record.status >= 400)
        tell_failure(p, fmt::format("answered with status {}", record.status));
    co_await out_.write(to_json_line(record));
    numbers_.add(record); // so that there are as many pages as lines
}

void crawler::follow_links(const page& p, const page_content& content) {
    if (interrupted_) return;
    std::vector<url> targets;
    for (const page_link& link : content.links) {
        if (link.nofollow)
            ++numbers_.nofollow;
        else if (options_.same_host && !start_hosts_.contains(link.target.host))
            ++numbers_.elsewhere;
        else
            targets.push_back(link.target);
    }
    for (const frontier::found& f : frontier_.links(p.address, std::move(targets))) admit(f.address, false);
}

// Where a redirect leads is a page of its own: it may be known already, robots.txt may forbid it, or it is elsewhere.
void crawler::follow_redirect(const page& p, page_record& record) {
    const std::optional<url> target = resolve(p.address, record.location);
    if (!target) {
        record.error = failure{"bad redirect", fmt::format("redirects to '{}'", record.location)};
        return;
    }
    record.location = target->text;
    redirects_.insert_or_assign(p.address.text, target->text);
    if (leads_back(p.address.text)) {
        record.error = failure{"redirect loop", "leads back to " + target->text};
    } else if (p.redirects >= redirect_limit) {
        record.error = failure{"too many redirects", fmt::format("redirects on, after {} redirects", redirect_limit)};
    } else {
        go_on_at(p, *target);
    }
}

// Pages of a loop may have been found one by one, elsewhere: the one that comes last closes it.
bool crawler::leads_back(const std::string& from) const {
    auto at = redirects_.find(from);
    for (std::size_t steps = 0; at != redirects_.end() && steps <= redirect_limit; ++steps) {
        if (at->second == from) return true;
        at = redirects_.find(at->second);
    }
    return false;
}

void crawler::go_on_at(const page& p, const url& target) {
    if (interrupted_) return;
    if (p.given) start_hosts_.insert(target.host); // "example.org" often leads to "www.example.org"
    if (options_.same_host && !start_hosts_.contains(target.host)) {
        ++numbers_.elsewhere;
        return;
    }
    for (const frontier::found& f : frontier_.links(p.address, std::vector<url>(1, target), true)) {
        const bool is_target = f.address.text == target.text; // not a page that has come nearer
        admit(f.address, p.given && is_target, is_target ? p.redirects + 1 : 0);
    }
}

void crawler::tell_failure(const page& p, std::string_view why) {
    ++failed_;
    report_.tell(fmt::format("{}: {}", p.address.text, why));
}

} // namespace scraper
