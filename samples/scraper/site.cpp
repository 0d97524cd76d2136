#include "site.hpp"

#include <chrono>
#include <utility>

#include <eddy/sleep.hpp>

namespace scraper {
namespace {

eddy::http::response to_response(const site_page& page) {
    eddy::http::response r(page.status, page.body);
    if (!page.content_type.empty()) r.content_type(page.content_type);
    if (!page.location.empty()) r.set("Location", page.location);
    return r;
}

} // namespace

site::site(std::uint32_t seed) : plan_(seed), server_([this](eddy::http::request q) { return answer(std::move(q)); }) {}

eddy::task<> site::start() {
    const eddy::ip_endpoint here("127.0.0.1", 0);
    co_await server_.listen(here);
}

eddy::task<> site::stop() {
    co_await server_.shutdown(std::chrono::seconds(0));
}

eddy::task<eddy::http::response> site::answer(eddy::http::request q) {
    using namespace std::chrono_literals;
    const site_page* page = plan_.find(q.path());
    if (!page) co_return eddy::http::response(404, "<title>Not found</title>", "text/html");
    switch (page->how) {
    case manner::plain:
        break;
    case manner::slow:
        co_await eddy::sleep_for(1ms * page->delay_ms);
        break;
    case manner::hanging:
        co_await eddy::sleep_for(1h);
        break;
    case manner::truncated:
        co_return to_response(*page).truncate_after(page->body.size() / 2);
    case manner::rude:
    case manner::garbage:
        co_return eddy::http::response::raw(page->body);
    case manner::flaky:
        if (asked_[std::string(q.path())]++ < page->failures)
            co_return eddy::http::response(503, "not now", "text/plain");
    }
    co_return to_response(*page);
}

} // namespace scraper
