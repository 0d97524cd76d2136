#include "record.hpp"

#include <vector>

#include "json.hpp"

namespace scraper {
namespace {

std::vector<std::string> addresses(const std::vector<page_link>& links, bool nofollow) {
    std::vector<std::string> result;
    for (const page_link& link : links)
        if (link.nofollow == nofollow) result.push_back(link.target.text);
    return result;
}

} // namespace

std::string to_json_line(const page_record& r) {
    json_object o;
    o.add("url", r.address);
    if (r.status != 0) o.add("status", r.status);
    if (r.error) o.add("error", r.error->kind).add("message", r.error->message);
    o.add("depth", r.depth).add("tries", r.tries);
    if (r.elapsed.count() > 0) o.add_fixed("ms", static_cast<double>(r.elapsed.count()) / 1000, 1);
    if (r.status != 0) o.add("bytes", r.bytes).add("type", r.content_type);
    if (!r.location.empty()) o.add("location", r.location);
    if (r.content) {
        o.add("charset", r.content->charset).add("title", r.content->title);
        o.add("characters", r.content->text.characters).add("words", r.content->text.words);
        o.add("links", addresses(r.content->links, false)).add("nofollow", addresses(r.content->links, true));
    }
    return o.str() + '\n';
}

} // namespace scraper
